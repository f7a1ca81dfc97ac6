#include "napi-values.h"

#include "utils.h"

namespace tfnodejs {

bool Throw(napi_env env, const std::string &message) {
  napi_throw_error(env, nullptr, message.c_str());
  return false;
}

bool Ok(napi_env env, const std::string &what, const TF_AutoStatus &status) {
  if (TF_GetCode(status.status) == TF_OK) return true;
  return Throw(env, what + ": " + TF_Message(status.status));
}

std::vector<int32_t> Ids(napi_env env, napi_value array) {
  uint32_t length = 0;
  napi_get_array_length(env, array, &length);
  std::vector<int32_t> ids(length, -1);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    napi_get_element(env, array, i, &element);
    napi_get_value_int32(env, element, &ids[i]);
  }
  return ids;
}

std::vector<int64_t> Integers(napi_env env, napi_value array) {
  uint32_t length = 0;
  napi_get_array_length(env, array, &length);
  std::vector<int64_t> values(length, 0);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    napi_get_element(env, array, i, &element);
    napi_get_value_int64(env, element, &values[i]);
  }
  return values;
}

std::string Text(napi_env env, napi_value value) {
  std::string text;
  GetStringParam(env, value, text);
  return text;
}

napi_value Property(napi_env env, napi_value object, const char *name) {
  napi_value value = nullptr;
  napi_get_named_property(env, object, name, &value);
  return value;
}

}  // namespace tfnodejs
