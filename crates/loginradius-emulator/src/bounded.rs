//! A map that forgets its oldest entry when it is full, so that an emulator that runs for weeks does not grow.

use std::collections::{HashMap, VecDeque};

/// The size limit of most collections.
pub(crate) const MAX_ENTRIES: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Bounded<T> {
    entries: HashMap<String, T>,
    /// Keys, oldest first. A key is in both collections or in neither.
    order: VecDeque<String>,
    limit: usize,
}

impl<T> Bounded<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub(crate) fn insert(&mut self, key: String, value: T) {
        self.insert_keeping(key, value, |_, _| false);
    }

    /// Inserts an entry. Entries for which `keep` is true are not removed, but count as new again. They must be far
    /// fewer than the limit, so that there always is an entry to remove, and it is found soon.
    pub(crate) fn insert_keeping(&mut self, key: String, value: T, keep: impl Fn(&str, &T) -> bool) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        for _ in 0..self.order.len() {
            if self.order.len() <= self.limit {
                return;
            }
            let Some(oldest) = self.order.pop_front() else { return };
            if self.entries.get(&oldest).is_some_and(|value| keep(&oldest, value)) {
                self.order.push_back(oldest);
            } else {
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

    /// Iterates over the values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.values()
    }

    /// Iterates over the values, in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.values_mut()
    }

    /// Iterates over the entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.order.iter().filter_map(|key| Some((key.as_str(), self.entries.get(key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_removed_first_and_removing_leaves_nothing_behind() {
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

    #[test]
    fn entries_to_keep_stay_and_the_next_oldest_is_removed() {
        let mut map = Bounded::new(3);
        for (number, key) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            map.insert_keeping(key.into(), number, |key, _| key == "a");
        }
        assert_eq!(map.iter().collect::<Vec<_>>(), [("d", &3), ("a", &0), ("e", &4)]);
        map.insert("f".into(), 5);
        map.insert("g".into(), 6);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("e", &4), ("f", &5), ("g", &6)]);
    }
}
