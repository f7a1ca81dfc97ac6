import { parseArgs } from 'node:util';
import { soakKueue } from './kueue.ts';
import { soakOperator } from './operator.ts';
import { soakTrainer } from './trainer.ts';

/**
 * `npm run soak -- --kills 200 [--seed 1]` ends the trainer at so many random moments of its life;
 * `npm run soak -- --operator [--courses 10000] [--lives 200] [--seed 1]` plays random courses against the decisions, and
 * random lives against the operator on a real API server;
 * `npm run soak -- --kueue` lets the real Kueue hold back, admit, evict and admit again (as root; builds it the first time).
 */
const { values } = parseArgs({
  options: {
    operator: { type: 'boolean', default: false },
    kueue: { type: 'boolean', default: false },
    kills: { type: 'string', default: '20' },
    courses: { type: 'string', default: '10000' },
    lives: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed);
async function soak(): Promise<boolean> {
  if (values.kueue) return soakKueue();
  if (values.operator) return soakOperator({ courses: Number(values.courses), lives: Number(values.lives), seed });
  return soakTrainer(Number(values.kills), seed);
}

process.exit((await soak()) ? 0 : 1);
