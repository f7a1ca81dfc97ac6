import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Learner } from '../../../trainer-image/model/learner.ts';
import type { LoraSettings } from '../../../trainer-image/model/lora.ts';
import { writeSafetensors } from '../../../trainer-image/model/safetensors.ts';
import { adapterCases, adapterFolder, modelOf, settingsOf, type LoraCase } from '../../parity/adapters.ts';
import { trainingOf } from '../golden.ts';

/** That these adapters give PEFT's log-probabilities: lora.test.ts. */
const everywhere = adapterCases['llama'] as LoraCase;
const two = adapterCases['llama, two targets, rsLoRA'] as LoraCase;
const magnitudes = adapterCases['qwen3, DoRA'] as LoraCase;
const oneOfTwo = adapterCases['gpt2, one of two layers of a name'] as LoraCase;

const begin = (known: LoraCase, settings: LoraSettings, folder = adapterFolder(known)): Learner =>
  new Learner(modelOf(known), trainingOf({ lora: settings }), { adapter: folder });

test('an adapter named as a model is told where it belongs', () => {
  expect(() => new Learner(adapterFolder(everywhere), trainingOf())).toThrow(
    /holds a PEFT adapter: name it in model.adapter, and the model that it is for in model.source/,
  );
});

test('loading the model again takes an adapter that was trained back to where it began', () => {
  const learner = begin(everywhere, settingsOf(everywhere));
  const values = (): Float32Array[] => learner.weights().map(({ read }) => read());
  const before = values();
  learner.restoreWeights((_, shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
  learner.network.load(modelOf(everywhere));
  expect(values()).toEqual(before);
});

describe('training.lora must be what the adapter is', () => {
  const set = 'Set training.lora to';
  test.each([
    [everywhere, { rank: 16 }, `rank is 16, in the adapter 4. ${set} {"rank":4,"alpha":8}`],
    [
      two,
      { alpha: 32, useRslora: false },
      `alpha is 32, in the adapter 6; useRslora is false, in the adapter true. ${set} {"rank":3,"alpha":6,"targetModules":["mlp.down_proj","self_attn.q_proj"],"useRslora":true}`,
    ],
    [
      two,
      { targetModules: ['q_proj', 'up_proj'] },
      'targetModules has mlp.up_proj, and the adapter has not; targetModules has not mlp.down_proj, and the adapter has',
    ],
    [magnitudes, { useDora: false }, 'useDora is false, in the adapter true'],
    [oneOfTwo, { targetModules: ['c_proj', 'c_fc'] }, 'targetModules has mlp.c_proj, and the adapter has not'],
  ])('case %#', (known, wrong, message) => {
    expect(() => begin(known, { ...settingsOf(known), ...wrong })).toThrow(`spec.training.lora: ${message}`);
  });

  test('what the message says to set is taken', () => {
    let said = '';
    try {
      begin(oneOfTwo, { ...settingsOf(oneOfTwo), rank: 1, targetModules: ['c_attn'] });
    } catch (error) {
      said = (error as Error).message;
    }
    const settings = JSON.parse(said.slice(said.indexOf('{'))) as Partial<LoraSettings>;
    expect(
      begin(oneOfTwo, { dropout: 0, useRslora: false, useDora: false, ...settings } as LoraSettings),
    ).toBeDefined();
  });
});

describe('a folder that cannot be begun with is refused before anything is computed', () => {
  const written = (config: Record<string, unknown> | string): string => {
    const folder = adapterFolder(everywhere);
    const text = typeof config === 'string' ? config : JSON.stringify({ ...everywhere.config, ...config });
    writeFileSync(join(folder, 'adapter_config.json'), text);
    return folder;
  };
  test.each([
    [{ peft_type: 'IA3' }, 'not what LoRA has there: peft_type. Other kinds of adapters are not known'],
    [{ r: '4' }, 'not what LoRA has there: r'],
    ['[', 'adapter_config.json is not JSON'],
    // Each would change what is computed.
    [{ modules_to_save: ['lm_head'] }, 'not supported: modules_to_save ["lm_head"]'],
    [{ rank_pattern: { q_proj: 8 } }, 'not supported: rank_pattern {"q_proj":8}'],
    [{ bias: 'all' }, 'not supported: bias "all"'],
    [{ init_lora_weights: 'pissa' }, 'not supported: init_lora_weights "pissa"'],
    [{ made_up_later: 3 }, 'not supported: made_up_later 3'],
  ])('adapter_config.json with %j', (config, message) => {
    expect(() => begin(everywhere, settingsOf(everywhere), written(config))).toThrow(message);
  });

  test('no adapter_config.json', () => {
    const folder = adapterFolder(everywhere);
    rmSync(join(folder, 'adapter_config.json'));
    expect(() => begin(everywhere, settingsOf(everywhere), folder)).toThrow(
      'adapter_config.json is missing: is this a folder that PEFT saved?',
    );
  });

  test('weights in another form than safetensors', () => {
    const folder = adapterFolder(everywhere);
    renameSync(join(folder, 'adapter_model.safetensors'), join(folder, 'adapter_model.bin'));
    expect(() => begin(everywhere, settingsOf(everywhere), folder)).toThrow(
      /^spec.model.adapter: .*adapter_model.safetensors is missing: save the adapter with save_pretrained/,
    );
  });

  test('magnitudes that its settings do not speak of', () => {
    const folder = adapterFolder(magnitudes);
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...magnitudes.config, use_dora: false }));
    expect(() => begin(magnitudes, { ...settingsOf(magnitudes), useDora: false }, folder)).toThrow(
      /it holds .*lora_magnitude_vector, and use_dora is false in adapter_config.json/,
    );
  });

  test('weights of another rank than its settings', () => {
    expect(() => begin(everywhere, { ...settingsOf(everywhere), rank: 8 }, written({ r: 8 }))).toThrow(
      /adapter_model.safetensors: .*lora_A.weight has shape \[4, 32\], training.lora and this model ask for \[8, 32\]/,
    );
  });

  test('weights outside the blocks', () => {
    const folder = adapterFolder(everywhere);
    const name = 'base_model.model.lm_head.lora_A.weight';
    writeSafetensors(join(folder, 'adapter_model.safetensors'), [
      { name, shape: [1], read: () => new Float32Array(1) },
    ]);
    expect(() => begin(everywhere, settingsOf(everywhere), folder)).toThrow(
      `it holds ${name}, which is no adapter of a dense layer in this model's blocks`,
    );
  });

  test('an adapter of another model', () => {
    const ofLlama = settingsOf(everywhere);
    expect(() => begin(everywhere, ofLlama, adapterFolder(oneOfTwo))).toThrow(
      "it holds base_model.model.transformer.h.0.attn.c_proj.lora_A.weight, which is no adapter of a dense layer in this model's blocks",
    );
  });
});
