import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { exported, prepare, trainer } from '../trainer-image/small-run.ts';

/**
 * `npm run soak -- --kills 200 [--seed 1]`: kills the trainer by SIGKILL at random moments of its life, starts it again
 * until it ends, and compares the exported weights with an undisturbed run's, bit for bit.
 */
const { values } = parseArgs({
  options: { kills: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
const kills = Number(values.kills);
let state = Number(values.seed);

/** mulberry32: the same kills for the same seed, as far as the machine's pace allows. */
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const calm = prepare();
const started = performance.now();
const undisturbed = await trainer(calm);
const seconds = (performance.now() - started) / 1000;
if (undisturbed.code !== 0) throw new Error(undisturbed.output);
const expected = exported(calm);
rmSync(calm, { recursive: true });
console.log(`an undisturbed run takes ${seconds.toFixed(1)} s; seed ${values.seed}`);

let done = 0;
let different = 0;
while (done < kills) {
  const folder = prepare();
  for (let ended = false; !ended;) {
    // The last kills of all are spent; then the run may end.
    const delay = done < kills ? random() * seconds : Infinity;
    let timer: NodeJS.Timeout | undefined;
    const { code, signal } = await trainer(folder, (_output, child) => {
      if (timer === undefined && delay !== Infinity) timer = setTimeout(() => child.kill('SIGKILL'), delay * 1000);
    });
    clearTimeout(timer);
    ended = code === 0;
    if (!ended && code !== null && code !== 137) throw new Error(`the trainer ended with ${code} (${signal})`);
    done += ended ? 0 : 1;
  }
  if (exported(folder) !== expected) different += 1;
  rmSync(folder, { recursive: true });
  console.log(`${done} of ${kills} kills, ${different} runs with other weights`);
}
process.exitCode = different === 0 ? 0 : 1;
