#include "recorder.h"

#include <algorithm>
#include <cstring>

#include "attribute.h"
#include "napi-values.h"
#include "op-signature.h"
#include "tfjs_backend.h"

namespace tfnodejs {

Recorder::~Recorder() { Abort(); }

std::string Recorder::NextName(const char *kind) { return kind + std::to_string(nodes_++); }

napi_value Recorder::Describe(napi_env env, TF_Output output) {
  TF_AutoStatus status;
  std::string what = TF_OperationOpType(output.oper);
  int rank = TF_GraphGetTensorNumDims(graph_, output, status.status);
  if (!Ok(env, what, status)) return nullptr;
  std::vector<int64_t> shape(std::max(rank, 0));
  TF_GraphGetTensorShape(graph_, output, shape.data(), rank, status.status);
  bool known = rank >= 0 && std::none_of(shape.begin(), shape.end(), [](int64_t size) { return size < 0; });
  if (!known) {
    Throw(env, what + " cannot be recorded: the shape of its result depends on values");
    return nullptr;
  }
  int32_t id = backend_->next_tensor_id_++;
  symbols_[id] = output;
  napi_value info, value, dims;
  napi_create_object(env, &info);
  napi_create_int32(env, id, &value);
  napi_set_named_property(env, info, "id", value);
  napi_create_array_with_length(env, rank, &dims);
  for (int i = 0; i < rank; i++) {
    napi_create_int64(env, shape[i], &value);
    napi_set_element(env, dims, i, value);
  }
  napi_set_named_property(env, info, "shape", dims);
  napi_create_int32(env, TF_OperationOutputType(output), &value);
  napi_set_named_property(env, info, "dtype", value);
  return info;
}

napi_value Recorder::Begin(napi_env env, napi_value input_ids) {
  if (Active()) {
    Throw(env, "a recording is under way: recordings cannot be nested");
    return nullptr;
  }
  graph_ = TF_NewGraph();
  std::vector<int32_t> ids = Ids(env, input_ids);
  napi_value result;
  napi_create_array_with_length(env, ids.size(), &result);
  for (size_t i = 0; i < ids.size(); i++) {
    auto entry = backend_->tfe_handle_map_.find(ids[i]);
    if (entry == backend_->tfe_handle_map_.end()) {
      Throw(env, "input " + std::to_string(i) + " is no live tensor (id " + std::to_string(ids[i]) + ")");
      return nullptr;
    }
    TF_AutoStatus status;
    int rank = TFE_TensorHandleNumDims(entry->second, status.status);
    std::vector<int64_t> shape(std::max(rank, 0));
    for (int d = 0; d < rank; d++) shape[d] = TFE_TensorHandleDim(entry->second, d, status.status);
    TF_OperationDescription *node = TF_NewOperation(graph_, "Placeholder", NextName("input").c_str());
    TF_SetAttrType(node, "dtype", TFE_TensorHandleDataType(entry->second));
    TF_SetAttrShape(node, "shape", shape.data(), rank);
    TF_Output output{TF_FinishOperation(node, status.status), 0};
    if (!Ok(env, "input " + std::to_string(i), status)) return nullptr;
    parameters_.push_back(output);
    napi_value info = Describe(env, output);
    if (info == nullptr) return nullptr;
    napi_set_element(env, result, i, info);
  }
  return result;
}

const OpSignature *Recorder::Signature(napi_env env, const std::string &op) {
  auto known = signatures_.find(op);
  if (known != signatures_.end()) return &known->second;
  TF_AutoStatus status;
  TF_Buffer *buffer = TF_NewBuffer();
  TF_GraphGetOpDef(graph_, op.c_str(), buffer, status.status);
  bool ok = Ok(env, op, status);
  if (ok) signatures_[op] = ParseOpDef(buffer->data, buffer->length);
  TF_DeleteBuffer(buffer);
  return ok ? &signatures_[op] : nullptr;
}

bool Recorder::Resolve(napi_env env, const std::string &op, int32_t id, TF_Output *out) {
  auto symbol = symbols_.find(id);
  if (symbol != symbols_.end()) {
    *out = symbol->second;
    return true;
  }
  return Throw(env, op + " uses tensor " + std::to_string(id) +
                        ", which was neither made in this recording nor declared as its input");
}

bool Recorder::AddInputs(napi_env env, TF_OperationDescription *node, const std::string &op,
                         const OpSignature &signature, const std::vector<TF_Output> &inputs, napi_value attrs) {
  uint32_t attr_count = 0;
  napi_get_array_length(env, attrs, &attr_count);
  auto length_of = [&](const std::string &attr) -> int64_t {
    for (uint32_t i = 0; i < attr_count; i++) {
      napi_value attribute;
      napi_get_element(env, attrs, i, &attribute);
      if (Text(env, Property(env, attribute, "name")) != attr) continue;
      int64_t length = -1;
      napi_get_value_int64(env, Property(env, attribute, "value"), &length);
      return length;
    }
    return -1;
  };
  size_t next = 0;
  for (const auto &input : signature.inputs) {
    if (!input.type_list_attr.empty()) return Throw(env, op + " cannot be recorded: it takes a list of mixed types");
    int64_t length = input.number_attr.empty() ? 1 : length_of(input.number_attr);
    if (length < 0) return Throw(env, op + " needs the attribute '" + input.number_attr + "', the length of a list");
    if (next + length > inputs.size()) return Throw(env, op + " lacks its input '" + input.name + "'");
    if (input.number_attr.empty()) {
      TF_AddInput(node, inputs[next]);
    } else {
      TF_AddInputList(node, inputs.data() + next, length);
    }
    next += length;
  }
  return next == inputs.size() || Throw(env, op + " was given more inputs than it takes");
}

napi_value Recorder::Op(napi_env env, const std::string &op, napi_value attrs, napi_value input_ids,
                        napi_value num_outputs) {
  const OpSignature *signature = Signature(env, op);
  if (signature == nullptr) return nullptr;
  if (signature->stateful) {
    Throw(env, op + " cannot be recorded: it keeps state (a recorded function would hide it). Random numbers come from "
                    "the Stateless operations with the seed as an input; variables are read before the call");
    return nullptr;
  }
  std::vector<int32_t> ids = Ids(env, input_ids);
  std::vector<TF_Output> inputs(ids.size());
  for (size_t i = 0; i < ids.size(); i++) {
    if (!Resolve(env, op, ids[i], &inputs[i])) return nullptr;
  }
  TF_OperationDescription *node = TF_NewOperation(graph_, op.c_str(), NextName("node").c_str());
  // TensorFlow frees a description only by finishing it: do so on every way out.
  TF_AutoStatus status;
  bool ok = AddInputs(env, node, op, *signature, inputs, attrs);
  uint32_t attr_count = 0;
  napi_get_array_length(env, attrs, &attr_count);
  for (uint32_t i = 0; ok && i < attr_count; i++) {
    napi_value attribute;
    napi_get_element(env, attrs, i, &attribute);
    std::string name = Text(env, Property(env, attribute, "name"));
    const auto &inferred = signature->inferred;
    if (std::find(inferred.begin(), inferred.end(), name) != inferred.end()) continue;
    ok = SetAttribute(env, node, attribute);
  }
  TF_Operation *operation = TF_FinishOperation(node, status.status);
  if (!ok || !Ok(env, op, status)) return nullptr;
  int32_t count = 0;
  napi_get_value_int32(env, num_outputs, &count);
  napi_value result;
  napi_create_array_with_length(env, count, &result);
  for (int32_t i = 0; i < count; i++) {
    napi_value info = Describe(env, TF_Output{operation, i});
    if (info == nullptr) return nullptr;
    napi_set_element(env, result, i, info);
  }
  return result;
}

napi_value Recorder::Constant(napi_env env, napi_value shape_value, napi_value dtype_value, napi_value data_value) {
  if (!Active()) {
    Throw(env, "no recording is under way");
    return nullptr;
  }
  std::vector<int64_t> shape = Integers(env, shape_value);
  int32_t dtype = TF_FLOAT;
  napi_get_value_int32(env, dtype_value, &dtype);
  napi_typedarray_type type;
  size_t length = 0;
  void *data = nullptr;
  if (napi_get_typedarray_info(env, data_value, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    Throw(env, "a constant needs a typed array");
    return nullptr;
  }
  size_t bytes = length * TF_DataTypeSize(static_cast<TF_DataType>(dtype));
  TF_Tensor *tensor = TF_AllocateTensor(static_cast<TF_DataType>(dtype), shape.data(), shape.size(), bytes);
  if (tensor == nullptr || TF_TensorByteSize(tensor) != bytes) {
    if (tensor != nullptr) TF_DeleteTensor(tensor);
    Throw(env, "a constant's data does not fill its shape");
    return nullptr;
  }
  std::memcpy(TF_TensorData(tensor), data, bytes);
  TF_OperationDescription *node = TF_NewOperation(graph_, "Const", NextName("constant").c_str());
  TF_AutoStatus status;
  TF_AutoStatus finished;
  TF_SetAttrTensor(node, "value", tensor, status.status);
  TF_SetAttrType(node, "dtype", static_cast<TF_DataType>(dtype));
  TF_DeleteTensor(tensor);
  TF_Output output{TF_FinishOperation(node, finished.status), 0};
  if (!Ok(env, "constant", status) || !Ok(env, "constant", finished)) return nullptr;
  return Describe(env, output);
}

napi_value Recorder::End(napi_env env, napi_value name_value, napi_value output_ids) {
  if (!Active()) {
    Throw(env, "no recording is under way");
    return nullptr;
  }
  std::string name = Text(env, name_value);
  std::vector<int32_t> ids = Ids(env, output_ids);
  std::vector<TF_Output> outputs(ids.size());
  for (size_t i = 0; i < ids.size(); i++) {
    if (!Resolve(env, "the result", ids[i], &outputs[i])) return nullptr;
  }
  TF_AutoStatus status;
  TF_Function *function =
      TF_GraphToFunction(graph_, name.c_str(), 0, -1, nullptr, parameters_.size(), parameters_.data(), outputs.size(),
                         outputs.data(), nullptr, nullptr, nullptr, status.status);
  if (!Ok(env, name, status)) return nullptr;
  TFE_ContextAddFunction(backend_->tfe_context_, function, status.status);
  TF_DeleteFunction(function);
  if (!Ok(env, name, status)) return nullptr;
  napi_value count;
  napi_create_int32(env, nodes_, &count);
  Abort();
  return count;
}

void Recorder::Abort() {
  if (graph_ != nullptr) TF_DeleteGraph(graph_);
  graph_ = nullptr;
  symbols_.clear();
  parameters_.clear();
  nodes_ = 0;
}

}  // namespace tfnodejs
