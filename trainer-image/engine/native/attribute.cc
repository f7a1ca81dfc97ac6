#include "attribute.h"

#include "napi-values.h"

namespace tfnodejs {

bool SetAttribute(napi_env env, TF_OperationDescription *node, napi_value attribute) {
  std::string name = Text(env, Property(env, attribute, "name"));
  int32_t type = -1;
  napi_get_value_int32(env, Property(env, attribute, "type"), &type);
  napi_value value = Property(env, attribute, "value");
  bool list = false;
  napi_is_array(env, value, &list);
  int64_t integer = 0;
  double number = 0;
  bool flag = false;
  switch (type) {
    case TF_ATTR_STRING: {
      std::string text = Text(env, value);
      TF_SetAttrString(node, name.c_str(), text.data(), text.size());
      return true;
    }
    case TF_ATTR_INT:
      if (list) {
        std::vector<int64_t> values = Integers(env, value);
        TF_SetAttrIntList(node, name.c_str(), values.data(), values.size());
      } else {
        napi_get_value_int64(env, value, &integer);
        TF_SetAttrInt(node, name.c_str(), integer);
      }
      return true;
    case TF_ATTR_FLOAT:
      napi_get_value_double(env, value, &number);
      TF_SetAttrFloat(node, name.c_str(), static_cast<float>(number));
      return true;
    case TF_ATTR_BOOL:
      napi_get_value_bool(env, value, &flag);
      TF_SetAttrBool(node, name.c_str(), flag ? 1 : 0);
      return true;
    case TF_ATTR_TYPE:
      napi_get_value_int64(env, value, &integer);
      TF_SetAttrType(node, name.c_str(), static_cast<TF_DataType>(integer));
      return true;
    case TF_ATTR_SHAPE: {
      std::vector<int64_t> shape = Integers(env, value);
      TF_SetAttrShape(node, name.c_str(), shape.data(), shape.size());
      return true;
    }
    default:
      return Throw(env, "attribute '" + name + "' has a kind that cannot be recorded (" + std::to_string(type) + ")");
  }
}

}  // namespace tfnodejs
