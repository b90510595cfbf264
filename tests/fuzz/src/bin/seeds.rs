//! `seeds <folder of golden frames> <corpus>` writes the seed corpus, a folder for each target.

use anyhow::Context;
// Instrumented like the targets, so it needs their runtime.
use libfuzzer_sys as _;
use meridian_fuzz::seeds;
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let golden = arguments.next().context("which folder holds the golden frames?")?;
    let corpus = arguments.next().context("where should the corpus be?")?;
    let seeds = seeds::golden(&golden)?.into_iter().chain(seeds::made());
    for (target, name, bytes) in seeds {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
