import { parseArgs } from 'node:util';
import { soakOperator } from './operator.ts';
import { soakTrainer } from './trainer.ts';

/**
 * `npm run soak -- --kills 200 [--seed 1]` ends the trainer at so many random moments of its life;
 * `npm run soak -- --operator [--courses 10000] [--lives 200] [--seed 1]` plays random courses against the decisions, and
 * random lives against the operator on a real API server.
 */
const { values } = parseArgs({
  options: {
    operator: { type: 'boolean', default: false },
    kills: { type: 'string', default: '20' },
    courses: { type: 'string', default: '10000' },
    lives: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed);
const sound = values.operator
  ? await soakOperator({ courses: Number(values.courses), lives: Number(values.lives), seed })
  : await soakTrainer(Number(values.kills), seed);
process.exit(sound ? 0 : 1);
