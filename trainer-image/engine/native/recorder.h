// An addition to the N-API binding of @tensorflow/tfjs-node-gpu: records the operations of one call into a TF_Graph and
// turns it into a TensorFlow function, which is called from then on (what tf.function is in Python).
#ifndef DPO_RECORDER_H_
#define DPO_RECORDER_H_

#include <node_api.h>

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

namespace tfnodejs {

class TFJSBackend;

// What the recorder must know of an operation; read from TensorFlow's own definition, never guessed from the name.
struct OpSignature {
  struct Input {
    std::string name;
    std::string number_attr;     // not empty: a list of tensors whose length this attribute holds
    std::string type_list_attr;  // not empty: a list of tensors of several types
  };
  std::vector<Input> inputs;
  std::vector<std::string> inferred;  // attributes that TensorFlow infers from the inputs
  bool stateful = false;
};

class Recorder {
 public:
  explicit Recorder(TFJSBackend *backend) : backend_(backend) {}
  ~Recorder();

  bool Active() const { return graph_ != nullptr; }
  // inputs: ids of live tensors -> [{id, shape, dtype}], the recorded function's parameters in their order.
  napi_value Begin(napi_env env, napi_value input_ids);
  // Adds one operation to the graph; the arguments are those of TFJSBackend::ExecuteOp.
  napi_value Op(napi_env env, const std::string &op, napi_value attrs, napi_value input_ids, napi_value num_outputs);
  // A value that is the same in every call: shape, dtype, typed array -> {id, shape, dtype}.
  napi_value Constant(napi_env env, napi_value shape, napi_value dtype, napi_value data);
  // Ends the recording as function `name`; returns the number of its nodes.
  napi_value End(napi_env env, napi_value name, napi_value output_ids);
  void Abort();
  napi_value Call(napi_env env, napi_value name, napi_value input_ids, napi_value num_outputs);
  void Remove(napi_env env, napi_value name);

 private:
  const OpSignature *Signature(napi_env env, const std::string &op);
  bool AddInputs(napi_env env, TF_OperationDescription *node, const std::string &op, const OpSignature &signature,
                 const std::vector<TF_Output> &inputs, napi_value attrs);
  bool Resolve(napi_env env, const std::string &op, int32_t id, TF_Output *out);
  napi_value Describe(napi_env env, TF_Output output);
  std::string NextName(const char *kind);

  TFJSBackend *backend_;
  TF_Graph *graph_ = nullptr;
  std::unordered_map<int32_t, TF_Output> symbols_;
  std::vector<TF_Output> parameters_;
  int nodes_ = 0;
  std::map<std::string, OpSignature> signatures_;
};

// Adds the recorder's functions to the binding's exports.
void ExportRecorder(napi_env env, napi_value exports, TFJSBackend *backend);

}  // namespace tfnodejs

#endif  // DPO_RECORDER_H_
