//! A map that forgets its oldest entry when it is full, so that an emulator that runs for weeks does not grow.

use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
pub(crate) struct Bounded<T> {
    entries: HashMap<String, T>,
    /// Keys in the order in which they came. A key is removed from both or from neither.
    order: VecDeque<String>,
    limit: usize,
}

impl<T> Bounded<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub(crate) fn insert(&mut self, key: String, value: T) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.entries.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<T> {
        let value = self.entries.remove(key)?;
        self.order.retain(|other| other != key);
        Some(value)
    }

    /// Entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.order.iter().filter_map(|key| Some((key.as_str(), self.entries.get(key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_removing_leaves_nothing_behind() {
        let mut map = Bounded::new(2);
        map.insert("a".into(), 1);
        map.insert("b".into(), 2);
        map.insert("a".into(), 3);
        assert_eq!(map.remove("a"), Some(3));
        map.insert("c".into(), 4);
        map.insert("d".into(), 5);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("c", &4), ("d", &5)]);
        assert_eq!(map.remove("a"), None);
        assert_eq!(map.remove("c"), Some(4));
        map.insert("c".into(), 6);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("d", &5), ("c", &6)]);
    }
}
