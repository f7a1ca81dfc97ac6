// @tensorflow/tfjs-node 4.22 calls these two, which Node.js 23 removed.
const util = require('node:util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
util.isArray ??= Array.isArray;
