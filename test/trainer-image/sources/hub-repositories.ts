import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** A repository of the stand-in for the Hub; `lfs` files are kept by their SHA-256 and redirected to. */
export interface Repository {
  commit: string;
  files: Record<string, string | Buffer>;
  cardData?: object;
  token?: string;
}

export interface HubServer {
  endpoint: string;
  /** By `api` path, as "models/org/name": replaced to move a branch. */
  repositories: Record<string, Repository>;
  requests: string[];
  /** Where large files are: another origin, as the Hub's, and the credentials that came there. */
  largeFiles: string;
  leaked: string[];
  writes: Writes;
  /** Breaks the connection after so many bytes of the next large file. */
  breakAfter?: number | undefined;
  stop: () => void;
}

export const isLarge = (name: string): boolean => /\.(?:safetensors|parquet)$/.test(name);
export const digest = (algorithm: string, ...parts: (string | Buffer)[]): string => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

export const end = (response: ServerResponse, status: number, body: string | Buffer = ''): void =>
  void response.writeHead(status).end(body);

/** What is pushed, beside the repositories: who may, and the large files by their SHA-256. */
export interface Writes {
  /** The token that may write to repositories of `organization`, and make them. */
  token: string;
  organization: string;
  /** Bytes above which a large file is sent in parts of so many. */
  partSize: number;
  large: Map<string, Buffer>;
  parts: Map<string, Buffer>;
  /** Parts and files that were sent, in their order: "OID 1". */
  sent: string[];
  commits: { repository: string; summary: string; paths: string[] }[];
  /** By repository: what its maker asked for. */
  visibility: Record<string, string | undefined>;
  /** The next answers to a PUT, before it is taken. */
  failures: number[];
  /** Headers of a large file's address that are told otherwise, and the ETags of its parts. */
  told: Record<string, string | undefined>;
  etag: string | undefined;
  /** Done by another once the files of the next commit are described, and whether that commit's answer is lost. */
  meanwhile: (() => void) | undefined;
  losesAnswer: boolean;
}

export const newWrites = (): Writes => ({
  token: 'hf_write',
  organization: 'org',
  partSize: 100_000,
  large: new Map(),
  parts: new Map(),
  sent: [],
  commits: [],
  visibility: {},
  failures: [],
  told: {},
  etag: undefined,
  meanwhile: undefined,
  losesAnswer: false,
});

/** Also of a branch: "models/org/name@branch". */
export const branchOf = (name: string, branch: string): string => (branch === 'main' ? name : `${name}@${branch}`);
