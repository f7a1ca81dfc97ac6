import type { SecretPrefix, secretPrefixes } from '../../crds/run-config.ts';

/** The fields that name the Secrets. */
export const secretFields = {
  model: 'spec.model.secretRef',
  reference: 'spec.reference.secretRef',
  dataset: 'spec.dataset.secretRef',
  sft: 'spec.sft.dataset.secretRef',
  output: 'spec.output.secretRef',
} satisfies Record<keyof typeof secretPrefixes, string>;

/** What the environment (a Secret, `pod.env`) says of servers and credentials, under the names their own tools use. */
export interface SourceEnvironment {
  hub: { endpoint: string; token: string | undefined };
  s3: {
    /** Of a server other than AWS. */
    endpoint: string | undefined;
    region: string;
    accessKeyId: string | undefined;
    secretAccessKey: string | undefined;
    sessionToken: string | undefined;
  };
  /** Sent as `Authorization: Bearer` to an https:// source. */
  bearerToken: string | undefined;
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** What holds for a source: the keys of its own Secret, which the operator mounts with `prefix`, before those of `pod.env`. */
export function sourceEnvironment(env: NodeJS.ProcessEnv, prefix: SecretPrefix): SourceEnvironment {
  // An empty variable counts as unset, as in the tools these names come from.
  const get = (...names: string[]): string | undefined =>
    [...names.map((name) => env[`${prefix}${name}`]), ...names.map((name) => env[name])].find(Boolean);
  // Keys belong together: half of a Secret's and half of another's open nothing.
  const ownKeys = Boolean(env[`${prefix}AWS_ACCESS_KEY_ID`]);
  const key = (name: string): string | undefined => env[ownKeys ? `${prefix}${name}` : name] || undefined;
  const endpoint = get('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL');
  return {
    hub: { endpoint: withoutSlash(get('HF_ENDPOINT') ?? 'https://huggingface.co'), token: get('HF_TOKEN') },
    s3: {
      endpoint: endpoint === undefined ? undefined : withoutSlash(endpoint),
      region: get('AWS_REGION', 'AWS_DEFAULT_REGION') ?? 'us-east-1',
      accessKeyId: key('AWS_ACCESS_KEY_ID'),
      secretAccessKey: key('AWS_SECRET_ACCESS_KEY'),
      sessionToken: key('AWS_SESSION_TOKEN'),
    },
    bearerToken: get('HTTPS_BEARER_TOKEN'),
  };
}
