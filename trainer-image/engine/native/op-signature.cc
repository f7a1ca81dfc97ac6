// Reads TensorFlow's own definition of an operation (a serialized OpDef, tensorflow/core/framework/op_def.proto). Only
// five fields are needed, so the wire format is walked by hand: linking protobuf would tie us to the wheel's own copy.
#include "op-signature.h"

#include <algorithm>

namespace tfnodejs {
namespace {

struct Wire {
  const uint8_t *at;
  const uint8_t *end;

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; at < end && shift < 64; shift += 7) {
      uint8_t byte = *at++;
      value |= uint64_t(byte & 0x7f) << shift;
      if (!(byte & 0x80)) break;
    }
    return value;
  }

  Wire Bytes() {
    uint64_t length = std::min<uint64_t>(Varint(), end - at);
    Wire inner{at, at + length};
    at += length;
    return inner;
  }

  std::string Text() const { return std::string(reinterpret_cast<const char *>(at), end - at); }

  void Skip(int type) {
    if (type == 0) Varint();
    if (type == 1) at = std::min(at + 8, end);
    if (type == 2) Bytes();
    if (type == 5) at = std::min(at + 4, end);
  }
};

// OpDef.ArgDef: name = 1, type_attr = 4, number_attr = 5, type_list_attr = 6.
void ParseArgument(Wire wire, OpSignature *signature) {
  OpSignature::Input input;
  while (wire.at < wire.end) {
    uint64_t tag = wire.Varint();
    if (tag == (1 << 3 | 2)) {
      input.name = wire.Bytes().Text();
    } else if (tag == (4 << 3 | 2)) {
      signature->inferred.push_back(wire.Bytes().Text());
    } else if (tag == (5 << 3 | 2)) {
      input.number_attr = wire.Bytes().Text();
      signature->inferred.push_back(input.number_attr);
    } else if (tag == (6 << 3 | 2)) {
      input.type_list_attr = wire.Bytes().Text();
    } else {
      wire.Skip(tag & 7);
    }
  }
  signature->inputs.push_back(input);
}

}  // namespace

// OpDef: input_arg = 2, is_stateful = 17.
OpSignature ParseOpDef(const void *data, size_t length) {
  OpSignature signature;
  const uint8_t *start = static_cast<const uint8_t *>(data);
  Wire wire{start, start + length};
  while (wire.at < wire.end) {
    uint64_t tag = wire.Varint();
    if (tag == (2 << 3 | 2)) {
      ParseArgument(wire.Bytes(), &signature);
    } else if (tag == (17 << 3 | 0)) {
      signature.stateful = wire.Varint() != 0;
    } else {
      wire.Skip(tag & 7);
    }
  }
  return signature;
}

}  // namespace tfnodejs
