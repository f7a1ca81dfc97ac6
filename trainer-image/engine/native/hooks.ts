/**
 * Where the recorder is joined to the binding of @tensorflow/tfjs-node-gpu 4.22.0: texts that stand exactly once in its
 * sources and what replaces them. All else of the binding is compiled as it is.
 */
export interface Hook {
  file: string;
  find: string;
  replace: string;
}

export const hooks: readonly Hook[] = [
  {
    file: 'tfjs_backend.h',
    find: '#include "tensorflow/c/eager/c_api.h"',
    replace: '#include "tensorflow/c/eager/c_api.h"\n#include "recorder.h"',
  },
  {
    file: 'tfjs_backend.h',
    find: '  bool is_gpu_device;',
    replace: '  bool is_gpu_device;\n  std::unique_ptr<Recorder> recorder;\n  friend class Recorder;',
  },
  {
    file: 'tfjs_backend.cc',
    find: '  TFE_AutoOp tfe_op(TFE_NewOp(tfe_context_, op_name.c_str(), tf_status.status));',
    replace: [
      '  if (recorder != nullptr && recorder->Active())',
      '    return recorder->Op(env, op_name, op_attr_inputs, input_tensor_ids, num_output_values);',
      '  TFE_AutoOp tfe_op(TFE_NewOp(tfe_context_, op_name.c_str(), tf_status.status));',
    ].join('\n'),
  },
  {
    file: 'tfjs_binding.cc',
    find: '  // Export TF property types to JS\n',
    replace: '  ExportRecorder(env, exports, backend);\n  // Export TF property types to JS\n',
  },
];

/** Applies the hooks to one source; throws when a text does not stand exactly once in it. */
export function applyHooks(file: string, source: string): string {
  let result = source;
  for (const hook of hooks.filter((candidate) => candidate.file === file)) {
    if (result.split(hook.find).length !== 2) {
      throw new Error(`${file} of @tensorflow/tfjs-node-gpu is not the one this was written for: "${hook.find}"`);
    }
    result = result.replace(hook.find, () => hook.replace);
  }
  return result;
}
