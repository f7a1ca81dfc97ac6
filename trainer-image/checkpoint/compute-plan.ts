import { join } from 'node:path';
import { computePlanSchema, type ComputePlan } from '../engine/compute-plan.ts';
import type { Fence } from './fence.ts';
import { readSealed, writeSealed } from './store.ts';

const fileOf = (checkpoints: string): string => join(checkpoints, 'compute-plan.json');

/** The plan that an earlier part of the run was computed on, or undefined. */
export function storedComputePlan(checkpoints: string): ComputePlan | undefined {
  return computePlanSchema.safeParse(readSealed(fileOf(checkpoints))).data;
}

export function storeComputePlan(checkpoints: string, plan: ComputePlan, fence: Fence): void {
  writeSealed(fileOf(checkpoints), plan, fence);
}
