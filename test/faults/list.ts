import { checkpoints } from './checkpoints.ts';
import { controller } from './controller.ts';
import { data } from './data.ts';
import { devices } from './devices.ts';
import type { Fault } from './fault.ts';
import { lifecycle } from './lifecycle.ts';
import { losses } from './losses.ts';

export const faults: readonly Fault[] = [...losses, ...checkpoints, ...data, ...devices, ...lifecycle, ...controller];
