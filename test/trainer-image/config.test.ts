import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { prepareTiny, tinyJob, tinyRun } from './in-process.ts';

test.each(['pvc://models/tiny', 'pvc://models/tiny/', 'pvc://models/link'])(
  'the model is never written over, not as %s either',
  (output) => {
    const { folder } = prepareTiny();
    symlinkSync('tiny', join(folder, 'models', 'link'));
    expect(() => tinyRun(folder, tinyJob.replace('pvc://models/out', output))).toThrow(
      /spec.output.source must not be the folder of spec.model.source/,
    );
  },
);
