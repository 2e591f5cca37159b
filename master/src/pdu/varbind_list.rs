//! Lists of encoded varbinds.

use agentx::{SubId, ValueRef};

use super::ber;

/// Varbinds encoded in BER: the content of the SEQUENCE OF in a PDU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VarBindList {
    octets: Vec<u8>,
    /// The end of each varbind in `octets`.
    ends: Vec<usize>,
}

impl VarBindList {
    /// Appends a varbind.
    pub fn push(&mut self, name: &[SubId], value: ValueRef<'_>) {
        ber::push_varbind(&mut self.octets, name, value);
        self.ends.push(self.octets.len());
    }

    /// Appends an encoded varbind, as returned by [`Self::get`].
    pub fn push_encoded(&mut self, varbind: &[u8]) {
        self.octets.extend_from_slice(varbind);
        self.ends.push(self.octets.len());
    }

    /// Returns the number of varbinds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no varbind.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns all varbinds, encoded.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Returns a varbind, encoded.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.octets.get(start..*self.ends.get(index)?)
    }

    /// Keeps only the first `len` varbinds.
    pub fn truncate(&mut self, len: usize) {
        if len < self.ends.len() {
            self.ends.truncate(len);
            self.octets.truncate(self.ends.last().copied().unwrap_or_default());
        }
    }

    /// Removes all varbinds, and keeps the allocated memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_varbinds_are_parts_of_the_list() {
        let mut list = VarBindList::default();
        for arc in 0..3 {
            list.push(&[1, 3, arc], ValueRef::OctetString(&vec![7; 100 * arc as usize]));
        }
        let parts: Vec<_> = (0..3).map(|i| list.get(i).expect("there are three")).collect();
        assert_eq!(parts.concat(), list.octets());
        assert_eq!(list.get(3), None);
        let (first, mut copy) = (parts[0].to_vec(), VarBindList::default());
        for part in &parts {
            copy.push_encoded(part);
        }
        assert_eq!(copy, list);
        list.truncate(1);
        assert_eq!((list.len(), list.octets()), (1, &first[..]));
        list.truncate(5);
        assert_eq!(list.len(), 1);
        list.clear();
        assert!(list.is_empty() && list.octets().is_empty());
    }
}
