#ifndef DPO_ATTRIBUTE_H_
#define DPO_ATTRIBUTE_H_

#include <node_api.h>

#include "tensorflow/c/c_api.h"

namespace tfnodejs {

// Sets one attribute {name, type, value}, as the binding's AssignOpAttr does for eager operations.
bool SetAttribute(napi_env env, TF_OperationDescription *node, napi_value attribute);

}  // namespace tfnodejs

#endif  // DPO_ATTRIBUTE_H_
