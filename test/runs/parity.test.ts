import { describe, expect, test } from '@jest/globals';
import { requireWithin } from '../parity/compared.ts';
import { ModelLosses } from '../parity/losses.ts';
import { alone, modelAlone, traceAlone } from '../parity/reference-free.ts';
import { goldenRows, longRun, longTrace, trace, traces } from '../parity/traces.ts';
import { goldenFolder } from '../trainer-image/golden.ts';
import { lossesOf } from '../trainer-image/loss/trl.ts';

test("TRL's own training run of 200 steps on 800 pairs is followed, in means of 10 steps", async () => {
  expect(longRun.logs).toHaveLength(200);
  requireWithin(longTrace(await goldenRows(`${goldenFolder}/train-800.jsonl.gz`)));
}, 300_000);

describe.each(['tiny', 'tiny-gpt2'] as const)(
  "TRL's own training runs of 20 steps are followed from the model %s:",
  (model) => {
    test.each(Object.keys(traces[model]))(
      '%s',
      async (name) => {
        requireWithin(trace(model, name, await goldenRows(`${goldenFolder}/train-80.jsonl`)));
      },
      60_000,
    );
  },
);

/** Those of the tiny Llama: losses-of-a-batch.test.ts. */
describe("TRL's losses of the tiny GPT-2 on a fixed batch are met too:", () => {
  const losses = new ModelLosses('tiny-gpt2');

  test.each(Object.entries(lossesOf['tiny-gpt2']))('%s', (_, known) => requireWithin(losses.compare(known)));
});

describe('without a reference', () => {
  test.each(Object.keys(alone.traces))("TRL's run of 20 steps by %s is followed", (name) =>
    requireWithin(traceAlone(name)),
  );

  test.each(Object.keys(alone.cases))("TRL's loss %s of the tiny GPT-2 is met", (name) =>
    requireWithin(modelAlone('tiny-gpt2', name)),
  );
});
