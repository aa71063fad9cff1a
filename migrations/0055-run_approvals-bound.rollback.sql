set local lock_timeout = '5s';

alter table run_approvals
drop constraint run_approvals_approval_id_length_check;

drop trigger run_approvals_decision_size_check on run_approvals;

drop trigger run_approvals_options_size_check on run_approvals;

drop trigger run_approvals_prompt_size_check on run_approvals;
