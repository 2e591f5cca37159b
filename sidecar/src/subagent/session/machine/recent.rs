//! The packetIDs of the latest requests, to recognise repetitions.

/// The packetIDs of the latest requests of the master.
#[derive(Debug, Default)]
pub(super) struct RecentPackets {
    ids: [Option<u32>; 16],
    next: usize,
}

impl RecentPackets {
    /// Records a packetID. Returns whether it was among the latest already.
    pub(super) fn record(&mut self, packet_id: u32) -> bool {
        if self.ids.contains(&Some(packet_id)) {
            return true;
        }
        if let Some(id) = self.ids.get_mut(self.next) {
            *id = Some(packet_id);
        }
        self.next = (self.next + 1) % self.ids.len();
        false
    }
}
