import { binding, type Attribute } from './binding.ts';
import { dtypeNumber, type DType } from './tensor.ts';

/** Makers of an operation's attributes. */
export const attribute = {
  type: (name: string, dtype: DType): Attribute => ({ name, type: binding.TF_ATTR_TYPE, value: dtypeNumber(dtype) }),
  bool: (name: string, value: boolean): Attribute => ({ name, type: binding.TF_ATTR_BOOL, value }),
  int: (name: string, value: number): Attribute => ({ name, type: binding.TF_ATTR_INT, value }),
  float: (name: string, value: number): Attribute => ({ name, type: binding.TF_ATTR_FLOAT, value }),
  string: (name: string, value: string): Attribute => ({ name, type: binding.TF_ATTR_STRING, value }),
  shape: (name: string, value: readonly number[]): Attribute => ({ name, type: binding.TF_ATTR_SHAPE, value }),
};
