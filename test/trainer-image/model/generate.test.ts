import { describe, expect, test } from '@jest/globals';
import { generate, type GenerationOptions } from '../../../trainer-image/model/generate.ts';
import { liveTensors } from '../../../trainer-image/engine/engine.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { apart, trainingOf } from '../golden.ts';
import { checkpoint, pair, reference } from '../tiny-models.ts';

const options = (change: Partial<GenerationOptions> = {}): GenerationOptions => ({
  maxNewTokens: 6,
  stop: new Set(),
  budget: 4096,
  beat: () => {},
  ...change,
});
function logSoftmax(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const rest = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
  return Array.from(logits, (logit) => logit - top - rest);
}

/** A token, the reference's prompt, and one that fills the first 64 places of a cache but two. */
const short = pair.prompt.slice(0, 1);
const long = Int32Array.from({ length: 62 }, (_, i) => pair.prompt[i % pair.prompt.length] as number);

/** A dynamic rope turns by the length so far, and keys that are kept stay as they were turned: so in transformers. */
const cases = Object.entries(reference.cases).filter(([name]) => !name.includes('dynamic'));

describe('the logits of each decoding step equal those of a full forward:', () => {
  test.each(cases)('%s', (_, known) => {
    const { network } = new Learner(checkpoint(known), trainingOf());
    const vocabulary = network.architecture.config.vocabSize;
    const fits = (network.architecture.positions?.size ?? Infinity) >= 68;
    const prompts = [pair.prompt, short, ...(fits ? [long] : [])];
    const steps: Float32Array[] = [];
    const answers = generate(network, prompts, options({ onLogits: (logits) => steps.push(logits) }));
    prompts.forEach((prompt, row) => {
      const answer = answers[row]?.tokens as Int32Array;
      steps.forEach((logits, step) => {
        const whole = Int32Array.of(...prompt, ...answer.slice(0, step));
        let full = new Float32Array();
        const [one] = generate(
          network,
          [whole],
          options({ maxNewTokens: 1, onLogits: (all) => void (full = Float32Array.from(all)) }),
        );
        expect(apart(logits.slice(row * vocabulary, (row + 1) * vocabulary), full)).toBeLessThan(1e-4);
        expect(one?.tokens[0]).toBe(answer[step]);
      });
    });
  });
});

describe('generation', () => {
  const { llama } = reference.cases as Record<'llama', (typeof reference.cases)[string]>;
  const learner = new Learner(checkpoint(llama), trainingOf());

  test("has the training forward's log-probabilities", () => {
    const found: number[] = [];
    const vocabulary = learner.network.architecture.config.vocabSize;
    const [answer] = generate(
      learner.network,
      [pair.prompt],
      options({
        onLogits: (logits) => {
          const all = logSoftmax(logits.slice(0, vocabulary));
          found.push(Math.max(...all));
        },
      }),
    );
    const [own] = learner.tokenLogProbs([{ ...pair, chosen: answer?.tokens as Int32Array }]);
    expect(apart(found, own?.chosen ?? [])).toBeLessThan(1e-4);
  });

  test('ends an answer with its stop token and goes on with the others', () => {
    const [a, b] = generate(learner.network, [pair.prompt, short], options());
    const stop = new Set([a?.tokens[2] as number]);
    const expected = (all: Int32Array): number[] => {
      const at = all.findIndex((token) => stop.has(token));
      return Array.from(all.slice(0, at < 0 ? all.length : at + 1));
    };
    const ended = generate(learner.network, [pair.prompt, short], options({ stop }));
    expect(ended.map(({ tokens }) => [...tokens])).toEqual([a, b].map((one) => expected(one?.tokens as Int32Array)));
    expect(ended[0]?.ended).toBe(true);
  });

  test('answers the same in any company and with any split of the prompts, and leaves no tensor behind', () => {
    const before = liveTensors();
    const together = generate(learner.network, [pair.prompt, short, long], options());
    expect(generate(learner.network, [pair.prompt, short, long], options({ budget: 1 }))).toEqual(together);
    expect([pair.prompt, short, long].flatMap((prompt) => generate(learner.network, [prompt], options()))).toEqual(
      together,
    );
    expect(liveTensors() - before).toBeLessThan(60);
  });

  test('beats after each piece of work', () => {
    let beats = 0;
    generate(learner.network, [pair.prompt], options({ beat: () => void (beats += 1) }));
    expect(beats).toBe(7);
  });
});
