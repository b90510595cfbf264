//! Effects that were worked out beforehand, for state that merges commutatively.

use crate::log::{Command, Draft, LogError};
use async_trait::async_trait;
use meridian_types::Effect;

pub(crate) struct Apply {
    pub(crate) name: &'static str,
    pub(crate) effects: Vec<Effect>,
}

#[async_trait]
impl Command for Apply {
    type Output = ();
    type Error = LogError;

    fn name(&self) -> &'static str {
        self.name
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), LogError> {
        self.effects.drain(..).for_each(|effect| draft.push(effect));
        Ok(())
    }
}
