#include "op.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#ifndef INSTRUCTION_SET
#error "INSTRUCTION_SET names what this is compiled for"
#endif

namespace kernels {

TF_Tensor *Call::Tensor(int index) {
  if (inputs_.size() <= static_cast<size_t>(index)) inputs_.resize(index + 1, nullptr);
  if (inputs_[index] == nullptr) {
    TF_GetInput(context_, index, &inputs_[index], status_);
    held_.push_back(inputs_[index]);
  }
  return inputs_[index];
}

std::vector<int64_t> Call::Shape(int input) {
  std::vector<int64_t> shape(TF_NumDims(Tensor(input)));
  for (size_t i = 0; i < shape.size(); i++) shape[i] = TF_Dim(Tensor(input), i);
  return shape;
}

float *Call::New(int output, const std::vector<int64_t> &shape) {
  size_t bytes = sizeof(float);
  for (int64_t size : shape) bytes *= size;
  held_.push_back(TF_AllocateOutput(context_, output, TF_FLOAT, shape.data(), shape.size(), bytes, status_));
  return static_cast<float *>(TF_TensorData(held_.back()));
}

float *Call::Like(int output, int input) { return New(output, Shape(input)); }

float *Call::InPlaceOf(int output, int input) {
  const std::vector<int64_t> shape = Shape(input);
  // Held by us it could not be taken.
  held_.erase(std::find(held_.begin(), held_.end(), inputs_[input]));
  TF_DeleteTensor(inputs_[input]);
  inputs_[input] = nullptr;
  int taken = -1;
  held_.push_back(TF_ForwardInputOrAllocateOutput(context_, &input, 1, output, shape.data(), shape.size(), &taken, status_));
  float *data = static_cast<float *>(TF_TensorData(held_.back()));
  if (taken < 0) std::memcpy(data, Floats(input), Elements(input) * sizeof(float));
  return data;
}

namespace {

void Report(const std::string &name, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) std::fprintf(stderr, "kernel %s: %s\n", name.c_str(), TF_Message(status));
}

using Names = std::initializer_list<const char *>;

TF_OpDefinitionBuilder *Define(const std::string &name, Names inputs, Names outputs, Names attributes) {
  TF_OpDefinitionBuilder *definition = TF_NewOpDefinitionBuilder(name.c_str());
  for (const char *input : inputs) TF_OpDefinitionBuilderAddInput(definition, input);
  for (const char *output : outputs) TF_OpDefinitionBuilderAddOutput(definition, output);
  for (const char *attribute : attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  return definition;
}

void Finish(const std::string &name, TF_OpDefinitionBuilder *definition, void (*compute)(void *, TF_OpKernelContext *)) {
  TF_Status *status = TF_NewStatus();
  TF_RegisterOpDefinition(definition, status);
  Report(name, status);
  TF_RegisterKernelBuilder(name.c_str(), TF_NewKernelBuilder(name.c_str(), "CPU", nullptr, compute, nullptr), status);
  Report(name, status);
  TF_DeleteStatus(status);
}

std::string FullName(const char *name) { return std::string("Dpo") + name + "_" + INSTRUCTION_SET; }

}  // namespace

void Register(const char *name, Names inputs, Names outputs, void (*shapes)(TF_ShapeInferenceContext *, TF_Status *),
              void (*compute)(void *, TF_OpKernelContext *), Names attributes) {
  TF_OpDefinitionBuilder *definition = Define(FullName(name), inputs, outputs, attributes);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, shapes);
  Finish(FullName(name), definition, compute);
}

void RegisterInPlace(const char *name, Names inputs, void (*compute)(void *, TF_OpKernelContext *), Names attributes) {
  TF_OpDefinitionBuilder *definition = Define(FullName(name), inputs, {}, attributes);
  TF_OpDefinitionBuilderSetIsStateful(definition, true);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, [](TF_ShapeInferenceContext *, TF_Status *) {});
  Finish(FullName(name), definition, compute);
}

}  // namespace kernels
