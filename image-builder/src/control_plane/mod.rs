mod broker;
mod console;
mod identity;
mod member;
mod standin;
mod topology;
mod view;
