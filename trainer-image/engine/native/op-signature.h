#ifndef DPO_OP_SIGNATURE_H_
#define DPO_OP_SIGNATURE_H_

#include "recorder.h"

namespace tfnodejs {

// The inputs of an operation from its serialized OpDef.
OpSignature ParseOpDef(const void *data, size_t length);

}  // namespace tfnodejs

#endif  // DPO_OP_SIGNATURE_H_
