import { rmSync } from 'node:fs';
import { freeExitCodes, type ExitCode } from '../../crds/exit-codes.ts';
import { exported, prepare, trainer, type Ended } from '../trainer-image/small-run.ts';
import { seeded } from '../integration/faults/seeded.ts';

/** Runs the trainer and sends it a signal after some time, counted from its first word. */
async function disturbed(folder: string, signal: NodeJS.Signals, milliseconds: number): Promise<Ended> {
  let timer: NodeJS.Timeout | undefined;
  const ended = await trainer(folder, (_output, child) => {
    timer ??= setTimeout(() => child.kill(signal), milliseconds);
  });
  clearTimeout(timer);
  return ended;
}

/** SIGTERM ends by a code that restarts for free, unless the handlers are not there yet; SIGKILL by itself. */
function endedBy(sent: NodeJS.Signals, { code, signal }: Ended): boolean {
  return signal === sent || (sent === 'SIGTERM' && freeExitCodes.includes(code as ExitCode));
}

/**
 * Ends the trainer at random moments of its life, by SIGKILL or by SIGTERM, starts it again until it is done, and compares
 * the exported weights with an undisturbed run's, bit for bit. Answers whether they were always the same; the same kills
 * for the same seed, as far as the machine's pace allows.
 */
export async function soakTrainer(kills: number, seed: number): Promise<boolean> {
  const random = seeded(seed);
  const calm = prepare();
  const started = performance.now();
  const undisturbed = await trainer(calm);
  const seconds = (performance.now() - started) / 1000;
  if (undisturbed.code !== 0) throw new Error(undisturbed.output);
  const expected = exported(calm);
  rmSync(calm, { recursive: true });
  console.log(`an undisturbed run takes ${seconds.toFixed(1)} s; seed ${seed}`);

  const sent = { SIGKILL: 0, SIGTERM: 0 };
  const done = (): number => sent.SIGKILL + sent.SIGTERM;
  let different = 0;
  while (done() < kills) {
    const folder = prepare();
    for (let complete = false; !complete;) {
      const signal = random() < 0.5 ? 'SIGKILL' : 'SIGTERM';
      const delay = random() * seconds * 1000;
      // When all signals are spent the run may end.
      const ended = done() < kills ? await disturbed(folder, signal, delay) : await trainer(folder);
      complete = ended.code === 0;
      if (complete) break;
      if (!endedBy(signal, ended)) {
        throw new Error(`${signal} was sent; the trainer ended with ${ended.code ?? ended.signal}\n${ended.output}`);
      }
      sent[signal] += 1;
    }
    if (exported(folder) !== expected) different += 1;
    rmSync(folder, { recursive: true });
    console.log(
      `${done()} of ${kills} kills (${sent.SIGKILL} SIGKILL, ${sent.SIGTERM} SIGTERM), ${different} runs with other weights`,
    );
  }
  return different === 0;
}
