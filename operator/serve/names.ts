import type { DataMeasures, Metrics } from '../../crds/progress.ts';

/** Every metric of the operator, once. Gauges of a DPOJob, by figure of its status; labels: namespace, dpojob. */
export const jobGaugeNames: Record<keyof Metrics, string> = {
  loss: 'dpo_job_loss',
  beta: 'dpo_job_beta',
  rewardMargin: 'dpo_job_reward_margin',
  rewardAccuracy: 'dpo_job_reward_accuracy',
  rewardChosen: 'dpo_job_reward_chosen',
  rewardRejected: 'dpo_job_reward_rejected',
  logpsChosen: 'dpo_job_logps_chosen',
  logpsRejected: 'dpo_job_logps_rejected',
  gradNorm: 'dpo_job_grad_norm',
  learningRate: 'dpo_job_learning_rate',
  pairsPerSecond: 'dpo_job_pairs_per_second',
  tokensPerSecond: 'dpo_job_tokens_per_second',
  firstStepLoss: 'dpo_job_first_step_loss',
  zeroMarginLoss: 'dpo_job_zero_margin_loss',
  sftLoss: 'dpo_job_sft_loss',
  evalSftLoss: 'dpo_job_eval_sft_loss',
  evalLoss: 'dpo_job_eval_loss',
  evalRewardMargin: 'dpo_job_eval_reward_margin',
  evalRewardAccuracy: 'dpo_job_eval_reward_accuracy',
  evalRewardChosen: 'dpo_job_eval_reward_chosen',
  evalRewardRejected: 'dpo_job_eval_reward_rejected',
  evalLogpsChosen: 'dpo_job_eval_logps_chosen',
  evalLogpsRejected: 'dpo_job_eval_logps_rejected',
  evalKL: 'dpo_job_eval_kl',
};

/** Gauges of a DPOJob besides its figures. */
export const jobRunNames = {
  step: 'dpo_job_step',
  totalSteps: 'dpo_job_total_steps',
  epoch: 'dpo_job_epoch',
  percent: 'dpo_job_progress_percent',
  restarts: 'dpo_job_restarts',
  acceleratorSeconds: 'dpo_job_accelerator_seconds',
  checkpointTime: 'dpo_job_checkpoint_time_seconds',
  /** 1 for the present state, by the label `state`. */
  state: 'dpo_job_state',
  /** 1 for a failed DPOJob, by the label `reason`. */
  failed: 'dpo_job_failed',
  /** 1 for what is amiss with a DPOJob that is not over, by the label `reason`. */
  amiss: 'dpo_job_amiss',
} as const;

/** Rows that a check of dataset.quality found, by the label `reason`. */
export const jobDataFindingsName = 'dpo_job_data_findings';

/** Measures of a DPOJob's data set as a whole. */
export const jobDataMeasureNames: Record<keyof DataMeasures, string> = {
  lengthBias: 'dpo_job_data_length_bias',
  promptDiversity: 'dpo_job_data_prompt_diversity',
  ngramDiversity: 'dpo_job_data_ngram_diversity',
  labelNoise: 'dpo_job_data_label_noise',
};

/** The controller's own, under controller-runtime's and client-go's names. */
export const controllerNames = {
  reconcileTotal: 'controller_runtime_reconcile_total',
  reconcileErrors: 'controller_runtime_reconcile_errors_total',
  reconcileTime: 'controller_runtime_reconcile_time_seconds',
  queueDepth: 'workqueue_depth',
  queueAdds: 'workqueue_adds_total',
  queueLatency: 'workqueue_queue_duration_seconds',
  queueRetries: 'workqueue_retries_total',
  leader: 'leader_election_master_status',
  requests: 'rest_client_requests_total',
  requestTime: 'rest_client_request_duration_seconds',
  watchAge: 'dpo_operator_watch_last_event_age_seconds',
} as const;
