set local lock_timeout = '5s';

drop trigger configuration_value_size_check on configuration;
