-- transactional: false
-- what was filled goes with the columns
select null;
