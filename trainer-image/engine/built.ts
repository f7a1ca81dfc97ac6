import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

const folder = (): string => join(dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json')), 'lib', 'napi-v8');

/** Where `npm run engine` puts the binding. */
export const bindingPath = (): string => join(folder(), 'tfjs_binding.node');

/** Where it puts the kernels for an instruction set. */
export const kernelsPath = (set: string): string => join(folder(), `kernels-${set}.node`);

/** Whether the engine has been built. */
export const engineIsBuilt = (): boolean => existsSync(bindingPath());
