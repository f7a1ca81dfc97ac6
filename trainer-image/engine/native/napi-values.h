// Values of JavaScript as C++ has them, and errors as JavaScript has them.
#ifndef DPO_NAPI_VALUES_H_
#define DPO_NAPI_VALUES_H_

#include <node_api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tf_auto_status.h"

namespace tfnodejs {

// Throws a JavaScript error; returns false, so that it can end a check.
bool Throw(napi_env env, const std::string &message);
// Whether TensorFlow was content; throws "what: its message" if not.
bool Ok(napi_env env, const std::string &what, const TF_AutoStatus &status);

std::vector<int32_t> Ids(napi_env env, napi_value array);
std::vector<int64_t> Integers(napi_env env, napi_value array);
std::string Text(napi_env env, napi_value value);
napi_value Property(napi_env env, napi_value object, const char *name);

}  // namespace tfnodejs

#endif  // DPO_NAPI_VALUES_H_
