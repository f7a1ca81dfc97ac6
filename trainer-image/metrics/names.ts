import type { DataMeasures, Metrics } from '../../crds/progress.ts';

/** Every metric of the trainer, once: name in Prometheus by the name in /progress. Labels: namespace, dpojob. */
export const gaugeNames: Record<keyof Metrics, string> = {
  loss: 'dpo_train_loss',
  beta: 'dpo_train_beta',
  rewardMargin: 'dpo_train_reward_margin',
  rewardAccuracy: 'dpo_train_reward_accuracy',
  rewardChosen: 'dpo_train_reward_chosen',
  rewardRejected: 'dpo_train_reward_rejected',
  logpsChosen: 'dpo_train_logps_chosen',
  logpsRejected: 'dpo_train_logps_rejected',
  gradNorm: 'dpo_train_grad_norm',
  learningRate: 'dpo_train_learning_rate',
  pairsPerSecond: 'dpo_train_pairs_per_second',
  tokensPerSecond: 'dpo_train_tokens_per_second',
  firstStepLoss: 'dpo_train_first_step_loss',
  zeroMarginLoss: 'dpo_train_zero_margin_loss',
  sftLoss: 'dpo_train_sft_loss',
  evalSftLoss: 'dpo_eval_sft_loss',
  evalLoss: 'dpo_eval_loss',
  evalRewardMargin: 'dpo_eval_reward_margin',
  evalRewardAccuracy: 'dpo_eval_reward_accuracy',
  evalRewardChosen: 'dpo_eval_reward_chosen',
  evalRewardRejected: 'dpo_eval_reward_rejected',
  evalLogpsChosen: 'dpo_eval_logps_chosen',
  evalLogpsRejected: 'dpo_eval_logps_rejected',
  evalKL: 'dpo_eval_kl',
};

/** Gauges of the run itself. */
export const runGaugeNames = {
  step: 'dpo_train_step',
  totalSteps: 'dpo_train_total_steps',
  epoch: 'dpo_train_epoch',
  percent: 'dpo_train_progress_percent',
} as const;

/** A unit of work that took its time: what the counters and histograms are fed with. */
export interface Work {
  kind: 'step' | 'checkpoint' | 'evaluation';
  /** Stage of the run: SFT or Training. */
  stage: string;
  seconds: number;
  pairs?: number;
  tokens?: number;
}

/** A metric with its meaning. */
interface Described {
  name: string;
  help: string;
}

/** Histograms of seconds, by the kind of work; label `stage`. */
export const histograms: Record<Work['kind'], Described> = {
  step: { name: 'dpo_train_step_seconds', help: 'Seconds of an optimizer step' },
  checkpoint: { name: 'dpo_train_checkpoint_seconds', help: 'Seconds until a checkpoint is whole on disk' },
  evaluation: { name: 'dpo_eval_seconds', help: 'Seconds of a held-out evaluation' },
};

/** Counters since the process began; label `stage`. */
export const counters: Record<'pairs' | 'tokens' | 'checkpoints', Described> = {
  pairs: { name: 'dpo_train_pairs_total', help: 'Preference pairs trained on since the process began' },
  tokens: {
    name: 'dpo_train_tokens_total',
    help: 'Tokens trained on since the process began; a shared prompt counts once',
  },
  checkpoints: { name: 'dpo_train_checkpoints_total', help: 'Checkpoints written since the process began' },
};

/** Rows left out of the data, by the label `reason`. */
export const droppedRowsName = 'dpo_train_dropped_rows';

/** Rows that a check of dataset.quality found, left out or not, by the label `reason`. */
export const dataFindingsName = 'dpo_data_findings';

/** Measures of the data set as a whole. */
export const dataMeasureNames: Record<keyof DataMeasures, string> = {
  lengthBias: 'dpo_data_length_bias',
  promptDiversity: 'dpo_data_prompt_diversity',
  ngramDiversity: 'dpo_data_ngram_diversity',
  labelNoise: 'dpo_data_label_noise',
};
