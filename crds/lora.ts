import { z } from 'zod';
import { sorted, type LossType } from './losses.ts';
import type { Rule } from './rules.ts';

/** Low-rank adapters: PEFT's LoraConfig, its defaults but for dropout, alpha and the targets as TRL's ModelConfig has them. */
export const loraSchema = z
  .object({
    rank: z.int().min(1).max(4096).default(16).describe("PEFT's r"),
    alpha: z.number().gt(0).max(1e6).default(32).describe("An adapter's product is multiplied by alpha / rank"),
    dropout: z.number().min(0).lt(1).default(0).describe("Share of an adapter's inputs dropped in training"),
    targetModules: z
      .array(z.string().min(1).max(128))
      .min(1)
      .max(64)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'set' })
      .describe('Dense layers with an adapter, such as q_proj; by default all of the blocks'),
    useRslora: z.boolean().default(false).describe('Multiplies by alpha / sqrt(rank) instead (rank-stabilised LoRA)'),
    useDora: z.boolean().default(false).describe("Trains each output's magnitude apart from its direction (DoRA)"),
  })
  .optional()
  .describe('Trains low-rank adapters beside the weights, which stay as they are, in SFT and in the preference stage');

export const outputFormats = ['model', 'adapter'] as const;

interface Fields {
  model: { adapter?: object | undefined };
  training: { lora?: z.output<typeof loraSchema> };
  output: { format: (typeof outputFormats)[number] };
}

interface TrainingFields {
  lora?: z.output<typeof loraSchema>;
  loss: { type: LossType }[];
}

const list = sorted.map((type) => `'${type}'`).join(', ');

/** Rules between the adapters and the losses. */
export const adapterRules: Rule<TrainingFields>[] = [
  {
    field: 'lora.dropout',
    cel: `!has(self.lora) || self.lora.dropout == 0.0 || !self.loss.exists(l, l.type in [${list}])`,
    holds: ({ lora, loss }) =>
      (lora?.dropout ?? 0) === 0 || !loss.some(({ type }) => (sorted as readonly LossType[]).includes(type)),
    message: `lora.dropout: ${sorted.join(' and ')} look at the whole batch before its gradients, which dropout would make another's: set it to 0`,
  },
];

/** Rules between the adapters and the rest of the job. */
export const loraRules: Rule<Fields>[] = [
  {
    field: 'model.adapter',
    cel: '!has(self.model.adapter) || has(self.training.lora)',
    holds: ({ model, training }) => model.adapter === undefined || training.lora !== undefined,
    message:
      "model.adapter needs training.lora, which trains it: set it to the adapter's settings (r is rank, lora_alpha is alpha), or merge the adapter into a model of its own",
  },
  {
    field: 'output.format',
    cel: "self.output.format != 'adapter' || has(self.training.lora)",
    holds: ({ training, output }) => output.format !== 'adapter' || training.lora !== undefined,
    message: 'output.format: adapter needs training.lora: without it every weight is trained',
  },
];
