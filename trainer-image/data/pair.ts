/** A preference pair as token ids, already truncated; no part is empty. */
export interface Pair {
  /** Line in the file, counted from 1. */
  row: number;
  prompt: Int32Array;
  chosen: Int32Array;
  rejected: Int32Array;
}

/** An example of supervised fine-tuning as token ids: the loss is on the completion only. */
export interface Example {
  row: number;
  prompt: Int32Array;
  completion: Int32Array;
}
