import { describe, test } from '@jest/globals';
import { requireWithin } from '../../parity/compared.ts';
import { goldenRows, trace, traces } from '../../parity/traces.ts';
import { goldenFolder } from '../golden.ts';

/** Those of the tiny GPT-2, and one of 200 steps, take longer: test/runs/parity.test.ts. */
describe("TRL's own training runs of 20 steps are followed from the tiny Llama:", () => {
  test.each(Object.keys(traces.tiny))('%s', async (name) => {
    requireWithin(trace('tiny', name, await goldenRows(`${goldenFolder}/train-80.jsonl`)));
  });
});
