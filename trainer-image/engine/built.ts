import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

/** Where `npm run engine` puts the binding. */
export function bindingPath(): string {
  return join(
    dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json')),
    'lib',
    'napi-v8',
    'tfjs_binding.node',
  );
}

/** Whether the engine has been built. */
export const engineIsBuilt = (): boolean => existsSync(bindingPath());
