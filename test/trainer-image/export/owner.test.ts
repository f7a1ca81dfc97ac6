import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkOwner, occupiedBy, recordName, recordOf, takeOutput } from '../../../trainer-image/export/owner.ts';

const source = 'pvc://models/out';
const own = { namespace: 'default', name: 'mine', uid: 'uid-1', created: '2026-01-01T10:00:00Z' };
const record = recordOf(own);
const advice = 'name another path in spec.output.source, or remove what is there';

describe('a job may write to an output', () => {
  test.each([
    ['that is empty', [], undefined],
    ['that holds its own model', ['config.json', 'model.safetensors', recordName], record],
    ['that holds its record and an export that was interrupted', [recordName, 'tokenizer.json'], record],
    [
      'that holds the model of an earlier job of its name, since deleted and made anew',
      ['config.json', recordName],
      recordOf({ ...own, uid: 'uid-0' }),
    ],
    [
      'that holds the model of a job of its name that was made before',
      ['config.json', recordName],
      recordOf({ ...own, uid: 'uid-0', created: '2026-01-01T09:59:59Z' }),
    ],
    ['that another job took and put nothing into', [recordName], recordOf({ ...own, uid: 'uid-2' })],
    ['that holds only files that no model has', ['notes.txt', 'data.jsonl'], undefined],
  ])('%s', (_, names, there) => {
    expect(occupiedBy(source, { names, record: there }, own)).toBeUndefined();
  });
});

describe('a job must not write to an output', () => {
  test('that holds the model of another job, which is named', () => {
    const other = recordOf({ namespace: 'team', name: 'other', uid: 'uid-2' });
    expect(occupiedBy(source, { names: ['config.json', recordName], record: other }, own)).toBe(
      `spec.output.source: pvc://models/out holds the model of the DPOJob team/other (uid uid-2): ${advice}`,
    );
  });

  test('that a job of its name, made later, has taken and is about to fill', () => {
    const later = recordOf({ ...own, uid: 'uid-2', created: '2026-01-01T10:00:01Z' });
    expect(occupiedBy(source, { names: [recordName], record: later }, own)).toBe(
      `spec.output.source: pvc://models/out holds the record of the later DPOJob default/mine (uid uid-2): ${advice}`,
    );
  });

  test('that holds the model of a job of its name that was made later', () => {
    const later = recordOf({ ...own, uid: 'uid-2', created: '2026-01-01T10:00:01Z' });
    expect(occupiedBy(source, { names: ['config.json', recordName], record: later }, own)).toBe(
      `spec.output.source: pvc://models/out holds the model of the later DPOJob default/mine (uid uid-2): ${advice}`,
    );
  });

  test("in a bucket that holds the model of a job of its name with another UID: it may be another cluster's", () => {
    const there = recordOf({ ...own, uid: 'uid-2' });
    expect(occupiedBy('s3://bucket/out', { names: ['config.json'], record: there }, own)).toMatch(
      /^spec.output.source: s3:\/\/bucket\/out holds the model of the DPOJob /,
    );
  });

  test.each(['s3://bucket/out', 'hf://org/out'])('that another job has taken to push to it: %s', (pushed) => {
    const other = recordOf({ namespace: 'team', name: 'other', uid: 'uid-2' });
    expect(occupiedBy(pushed, { names: [recordName], record: other }, own)).toBe(
      `spec.output.source: ${pushed} holds the record of the DPOJob team/other (uid uid-2): ${advice}`,
    );
  });

  test.each([
    'config.json',
    'model.safetensors',
    'model-00001-of-00002.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
    'adapter_config.json',
    'tokenizer.json',
    'tokenizer.model',
    'report.html',
  ])('that holds a %s and no record', (name) => {
    expect(occupiedBy(source, { names: ['README.md', name], record: undefined }, own)).toBe(
      `spec.output.source: pvc://models/out holds ${name} and no dpo-job.json, so no DPOJob has made it: ${advice}`,
    );
  });

  test.each(['', '[]', '{"uid":1}'])('whose record is damaged: %j', (damaged) => {
    expect(occupiedBy(source, { names: ['config.json'], record: damaged }, own)).toMatch(/no DPOJob has made it/);
  });
});

describe('a folder', () => {
  const place = () => ({ source, folder: join(mkdtempSync(join(tmpdir(), 'owner-')), 'out') });

  test('is taken before anything is put into it, and then refused to every other job', () => {
    const output = place();
    checkOwner(output, own);
    expect(existsSync(output.folder)).toBe(false);
    takeOutput(output, own, () => {});
    expect(readdirSync(output.folder)).toEqual([recordName]);
    writeFileSync(join(output.folder, 'config.json'), '{}');
    takeOutput(output, own, () => {});
    const other = { ...own, name: 'other', uid: 'uid-2' };
    expect(() => checkOwner(output, other)).toThrow(/the model of the DPOJob default\/mine \(uid uid-1\)/);
    expect(() => takeOutput(output, other, () => {})).toThrow(/the model of the DPOJob default\/mine/);
  });

  test('is not taken by a trainer that has lost the job', () => {
    const output = place();
    const lost = (): never => {
      throw new Error('another trainer has taken over');
    };
    expect(() => takeOutput(output, own, lost)).toThrow('another trainer has taken over');
    expect(existsSync(join(output.folder, recordName))).toBe(false);
  });

  test('with a model that was downloaded there is refused', () => {
    const output = place();
    mkdirSync(output.folder);
    writeFileSync(join(output.folder, 'config.json'), '{}');
    expect(() => checkOwner(output, own)).toThrow(expect.objectContaining({ reason: 'InvalidConfiguration' }));
  });
});
