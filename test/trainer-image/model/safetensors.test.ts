import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { SafetensorsFile, writeSafetensors } from '../../../trainer-image/model/safetensors.ts';
import { openWeights } from '../../../trainer-image/model/weights.ts';
import { goldenFolder } from '../golden.ts';

const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));

/** A file with one tensor `x` of the given type and bytes. */
function fileOf(name: string, dtype: string, bytes: Uint8Array, shape: number[]): string {
  const header = Buffer.from(JSON.stringify({ x: { dtype, shape, data_offsets: [0, bytes.length] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(join(folder, name), Buffer.concat([length, header, bytes]));
  return join(folder, name);
}

describe('safetensors', () => {
  test.each([
    ['BF16', Uint16Array.of(0x3f80, 0xc000, 0x7f80), [1, -2, Infinity]],
    ['F16', Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x0001, 0x7c00), [1, -2, 0.333251953125, 2 ** -24, Infinity]],
    ['F32', Float32Array.of(1, -2.5), [1, -2.5]],
  ])('of type %s are read without loss', (dtype, data, expected) => {
    const bytes = new Uint8Array(data.buffer);
    const file = new SafetensorsFile(fileOf(`${dtype}.safetensors`, dtype, bytes, [expected.length]));
    expect([...file.read('x').data]).toEqual(expected);
    file.close();
  });

  test('written are read back bit for bit, names and shapes in order', () => {
    const file = join(folder, 'written.safetensors');
    const values = Float32Array.of(Math.PI, -0, 1e-42, 7);
    writeSafetensors(file, [
      { name: 'ä', shape: [2, 2], read: () => values },
      { name: 'b', shape: [1], read: () => Float32Array.of(5) },
    ]);
    const back = new SafetensorsFile(file);
    expect(back.names).toEqual(['ä', 'b']);
    expect(new Uint32Array(back.read('ä').data.slice().buffer)).toEqual(new Uint32Array(values.slice().buffer));
    expect(back.read('b')).toMatchObject({ shape: [1] });
    back.close();
  });

  test('that are cut short, or are something else, are refused', () => {
    const whole = readFileSync(`${goldenFolder}/tiny/model.safetensors`);
    writeFileSync(join(folder, 'cut.safetensors'), whole.subarray(0, whole.length - 100));
    expect(() => new SafetensorsFile(join(folder, 'cut.safetensors'))).toThrow(
      /lies outside the file. Is the file complete/,
    );
    writeFileSync(join(folder, 'text.safetensors'), 'version https://git-lfs');
    expect(() => new SafetensorsFile(join(folder, 'text.safetensors'))).toThrow(/it is no safetensors file/);
    const wrong = fileOf('wrong.safetensors', 'F32', new Uint8Array(8), [3]);
    expect(() => new SafetensorsFile(wrong)).toThrow(/x does not fill its shape/);
    const odd = new SafetensorsFile(fileOf('odd.safetensors', 'F8_E4M3', new Uint8Array(8), [8]));
    expect(() => odd.read('x')).toThrow(/x has the data type F8_E4M3; known are F32, F16, BF16/);
  });

  test('in shards are found by the index; a missing shard and a missing weight are named', () => {
    const shards = mkdtempSync(join(tmpdir(), 'shards-'));
    writeSafetensors(join(shards, 'one.safetensors'), [{ name: 'a', shape: [1], read: () => Float32Array.of(1) }]);
    writeSafetensors(join(shards, 'two.safetensors'), [{ name: 'b', shape: [1], read: () => Float32Array.of(2) }]);
    const index = join(shards, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ weight_map: { a: 'one.safetensors', b: 'two.safetensors' } }));
    const weights = openWeights(shards);
    expect([weights.read('a', [1]).data[0], weights.read('b', [1]).data[0]]).toEqual([1, 2]);
    expect(() => weights.read('c', [1])).toThrow(/the weight c is missing/);
    expect(() => weights.read('a', [2])).toThrow(/a has shape \[1\], config.json asks for \[2\]/);
    writeFileSync(index, JSON.stringify({ weight_map: { a: 'three.safetensors' } }));
    expect(() => openWeights(shards)).toThrow(/the shard three.safetensors named by .* is missing/);
  });
});
