// What a kernel sees of TensorFlow, by its plain C interface: no C++ types of the wheel's build cross the border.
#pragma once

#include <initializer_list>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

#include "pool.h"

namespace kernels {

// Inputs and outputs of one call; frees what it was given.
class Call {
 public:
  explicit Call(TF_OpKernelContext *context) : context_(context), status_(TF_NewStatus()) {}
  ~Call() {
    for (TF_Tensor *tensor : held_) TF_DeleteTensor(tensor);
    TF_DeleteStatus(status_);
  }

  template <class T>
  T *Input(int index) {
    return static_cast<T *>(TF_TensorData(Tensor(index)));
  }
  const float *Floats(int index) { return Input<const float>(index); }
  int64_t Size(int index, int dimension) { return TF_Dim(Tensor(index), dimension); }
  int Inputs() const { return TF_NumInputs(context_); }
  int64_t Elements(int index) { return TF_TensorElementCount(Tensor(index)); }

  float *New(int output, const std::vector<int64_t> &shape);
  // A new output of the shape of an input.
  float *Like(int output, int input);
  // The output is the input itself where nobody else holds it.
  float *InPlaceOf(int output, int input);

 private:
  TF_Tensor *Tensor(int index);
  std::vector<int64_t> Shape(int input);

  TF_OpKernelContext *context_;
  TF_Status *status_;
  std::vector<TF_Tensor *> held_, inputs_;
};

// Adds operation and kernel to TensorFlow; output i has the shape of input likeInput[i]. The name is given the
// instruction set's ending, so that the builds for several can be in one process.
void Register(const char *name, std::initializer_list<const char *> inputs, std::initializer_list<const char *> outputs,
              void (*shapes)(TF_ShapeInferenceContext *, TF_Status *), void (*compute)(void *, TF_OpKernelContext *),
              std::initializer_list<const char *> attributes = {});

// The same for an operation without outputs that writes into an input.
void RegisterInPlace(const char *name, std::initializer_list<const char *> inputs,
                     void (*compute)(void *, TF_OpKernelContext *), std::initializer_list<const char *> attributes = {});

// Shape function: output i has the shape of input Inputs[i].
template <int... Inputs>
void ShapesOf(TF_ShapeInferenceContext *context, TF_Status *status) {
  int output = 0;
  for (int input : {Inputs...}) {
    TF_ShapeHandle *shape = TF_NewShapeHandle();
    TF_ShapeInferenceContextGetInput(context, input, shape, status);
    TF_ShapeInferenceContextSetOutput(context, output++, shape, status);
    TF_DeleteShapeHandle(shape);
  }
}

// Compute function without state.
template <void (*F)(Call &)>
void Compute(void *, TF_OpKernelContext *context) {
  const FlushDenormals flush;
  Call call(context);
  F(call);
}

void RegisterAttention();
void RegisterNorm();
void RegisterGated();
void RegisterCrossEntropy();
void RegisterGradients();
void RegisterOptimizer();
// Only where the instruction set has a matrix unit.
void RegisterMatMul();

}  // namespace kernels
