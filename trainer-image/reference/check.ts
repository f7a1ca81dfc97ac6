import { join } from 'node:path';
import type { Run } from '../config.ts';
import { tokenIds } from '../data/tokenizer.ts';
import { TrainerError } from '../errors.ts';
import type { Architecture } from '../model/architecture.ts';
import { readConfig } from '../model/config.ts';
import { architectureOf } from '../model/models.ts';
import { weightShapes } from '../model/weight-shapes.ts';

const invalid = (message: string): TrainerError =>
  new TrainerError('InvalidConfiguration', `spec.reference.source: ${message}`);

/**
 * Checks, before anything is computed, that a reference model of its own can judge what the policy writes: the same tokens
 * under the same ids, room for the longest row and, to be synced, the same weights. Returns its architecture. Throws
 * InvalidConfiguration that names what differs.
 */
export function checkReferenceModel({ job, paths }: Run, policy: Architecture): Architecture | undefined {
  if (paths.reference === undefined) return undefined;
  const reference = architectureOf(readConfig(paths.reference));
  checkVocabulary(paths.model, paths.reference);
  const [own, other] = [policy.config.vocabSize, reference.config.vocabSize];
  if (own !== other)
    throw invalid(`its vocab_size is ${other} and that of spec.model ${own}: choose a model of the same`);
  const [size, { maxLength }] = [reference.positions?.size, job.spec.training];
  if (size !== undefined && size < maxLength)
    throw invalid(`it knows ${size} positions, and training.maxLength is ${maxLength}: lower that`);
  if (job.spec.reference.syncSteps !== undefined) checkShapes(policy, reference);
  return reference;
}

function checkVocabulary(policy: string, folder: string): void {
  const [own, other] = [tokenIds(policy), tokenIds(folder)];
  for (const [one, two] of [
    [own, other],
    [other, own],
  ] as const) {
    for (const [token] of one) {
      if (one.get(token) === two.get(token)) continue;
      const said = (id: number | undefined): string => (id === undefined ? 'does not know it' : `has it as ${id}`);
      const message = `${join(folder, 'tokenizer.json')} is another vocabulary: of the token ${JSON.stringify(token)} it ${said(other.get(token))}, and spec.model ${said(own.get(token))}`;
      throw invalid(message);
    }
  }
}

function checkShapes(policy: Architecture, reference: Architecture): void {
  const known = new Map(weightShapes(reference));
  const own = weightShapes(policy);
  const missing = own.find(([name, shape]) => known.get(name)?.join() !== shape.join());
  const [name, shape] = missing ?? [];
  if (missing === undefined && own.length === known.size) return;
  const message = `reference.syncSteps mixes weights of the same shapes, and ${name ?? 'the number of weights'} is ${known.get(name ?? '')?.join(' x ') ?? 'not in it'}, in spec.model ${shape?.join(' x ')}`;
  throw invalid(message);
}
