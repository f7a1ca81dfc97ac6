import { z } from 'zod';
import type { TrainerImages } from './desired/trainer-job.ts';

const port = z.coerce.number().int().min(0).max(65_535);
const environmentSchema = z
  .object({
    TRAINER_IMAGE: z.string().min(1),
    TRAINER_GPU_IMAGE: z.string().min(1).optional(),
    /** Comma-separated; empty or absent: all namespaces. */
    WATCH_NAMESPACES: z.string().default(''),
    /** Of the operator's own pod: where the lease is, and who holds it. */
    POD_NAMESPACE: z.string().min(1).default('default'),
    POD_NAME: z.string().min(1).default('dpo-operator'),
    /** One per release in that namespace: each has its own leader. */
    LEASE_NAME: z.string().min(1).default('dpo-operator'),
    METRICS_PORT: port.default(8080),
    /** Folder of tls.crt and tls.key: metrics over HTTPS. */
    METRICS_CERTIFICATE: z.string().min(1).optional(),
    METRICS_AUTHENTICATION: z.enum(['none', 'token']).default('none'),
    HEALTH_PORT: port.default(8081),
    LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  })
  .refine((given) => given.METRICS_AUTHENTICATION === 'none' || given.METRICS_CERTIFICATE !== undefined, {
    path: ['METRICS_AUTHENTICATION'],
    message: 'token needs METRICS_CERTIFICATE: a token must not go over HTTP',
  });

export interface OperatorConfig {
  readonly images: TrainerImages;
  readonly watchNamespaces: readonly string[];
  readonly namespace: string;
  readonly identity: string;
  readonly leaseName: string;
  readonly metricsPort: number;
  readonly metrics: { readonly certificate: string | undefined; readonly authentication: 'none' | 'token' };
  readonly healthPort: number;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
}

/** The operator's configuration, from its environment. Throws an error that names every variable that is wrong. */
export function readConfig(environment: Record<string, string | undefined>): OperatorConfig {
  const { data, error } = environmentSchema.safeParse(environment);
  if (error !== undefined) {
    const issues = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`the operator's environment is not usable: ${issues.join('; ')}`);
  }
  const watched = data.WATCH_NAMESPACES.split(',').map((name) => name.trim());
  return Object.freeze({
    images: { trainer: data.TRAINER_IMAGE, gpu: data.TRAINER_GPU_IMAGE ?? data.TRAINER_IMAGE },
    watchNamespaces: watched.filter((name) => name !== ''),
    namespace: data.POD_NAMESPACE,
    identity: data.POD_NAME,
    leaseName: data.LEASE_NAME,
    metricsPort: data.METRICS_PORT,
    metrics: { certificate: data.METRICS_CERTIFICATE, authentication: data.METRICS_AUTHENTICATION },
    healthPort: data.HEALTH_PORT,
    logLevel: data.LOG_LEVEL,
  });
}
