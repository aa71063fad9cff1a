-- transactional: false
-- what was filled goes with the column
select null;
