//! RDS and ElastiCache.
