#!/usr/bin/env node
import { runCommandLine } from "./cli/command-line.ts";

// An idle connection or the channel to a parent must not keep a finished command alive.
process.exit(await runCommandLine(process.argv.slice(2), process.env));
