//! The registrations of one context.

use agentx::SubId;

use super::{
    SessionId,
    level::{Found, Holder, Level},
    region::Region,
    stretch::Stretch,
};

/// A [`Level`] for each length of registered subtrees, the longest first. No level is empty.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<(usize, Level)>);

impl Levels {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a subtree of the region has a holder that `is` accepts.
    pub(super) fn any(&self, region: &Region, is: impl Fn(&Holder) -> bool) -> bool {
        self.of(region).is_some_and(|level| region.intervals().any(|interval| level.any(&interval, &is)))
    }

    /// Returns whether `is` accepts the first holder of each subtree of the region.
    pub(super) fn is_led(&self, region: &Region, is: impl Fn(&Holder) -> bool) -> bool {
        self.of(region).is_some_and(|level| region.intervals().all(|interval| level.is_led(&interval, &is)))
    }

    /// Adds a holder to all subtrees of the region. None of them may have a holder that excludes it.
    pub(super) fn add(&mut self, region: &Region, holder: &Holder) {
        let at = self.find(region.depth()).unwrap_or_else(|at| {
            self.0.insert(at, (region.depth(), Level::default()));
            at
        });
        if let Some((_, level)) = self.0.get_mut(at) {
            region.intervals().for_each(|interval| level.add(&interval, holder));
        }
    }

    /// Removes the holder with this session and priority from all subtrees of the region.
    pub(super) fn remove(&mut self, region: &Region, session: SessionId, priority: u8) {
        let Ok(at) = self.find(region.depth()) else { return };
        if let Some((_, level)) = self.0.get_mut(at) {
            region.intervals().for_each(|interval| level.remove(&interval, session, priority));
            if level.is_empty() {
                self.0.remove(at);
            }
        }
    }

    fn of(&self, region: &Region) -> Option<&Level> {
        self.find(region.depth()).ok().and_then(|at| self.0.get(at)).map(|(_, level)| level)
    }

    fn find(&self, depth: usize) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| depth.cmp(other))
    }

    /// Returns the interval that contains `name`. The first level with a holder of `name` is the most specific (RFC
    /// 2741 section 7.1.4.1). More specific subtrees bound the interval on both sides.
    pub(super) fn stretch(&self, name: &[SubId]) -> Stretch<'_> {
        let mut stretch = Stretch::ALL;
        for (_, level) in &self.0 {
            match level.find(name) {
                Found::Served { start, end, server } => {
                    stretch = Stretch { server: Some(server), ..stretch }.not_before(start);
                    return if end.is_empty() { stretch } else { stretch.before(end) };
                }
                Found::Between { after, before } => {
                    if let Some(after) = after {
                        stretch = stretch.not_before(after);
                    }
                    if let Some(before) = before {
                        stretch = stretch.before(before);
                    }
                }
            }
        }
        stretch
    }

    /// Returns the number of all segments.
    #[cfg(test)]
    pub(super) fn segments(&self) -> usize {
        self.0.iter().map(|(_, level)| level.segments()).sum()
    }
}
