use super::*;
use crate::http::client::Fault;
use std::vec::Vec;

const SECOND: Duration = Duration::from_secs(1);

/// What is asked, with `answers` given in order; after them, 200.
fn asked(inquiry: &mut Inquiry, answers: &[Result<u16, Fault>]) -> (Vec<What>, Step, Duration) {
    let (mut now, mut all, mut answers) = (Duration::ZERO, Vec::new(), answers.iter());
    for _ in 0..1000 {
        match inquiry.step(now) {
            Step::Ask(What::Key(number), _) if all.last() == Some(&What::Key(number)) => panic!("twice the same key"),
            Step::Ask(what, _) => {
                all.push(what);
                let answer = *answers.next().unwrap_or(&Ok(200));
                if what == What::Keys && answer == Ok(200) {
                    inquiry.listed("0=one\n2=two\nx\n99=far\n");
                }
                now += Duration::from_millis(10);
                inquiry.answered(answer, now, 0);
            }
            Step::Wait(until) => {
                assert!(until > now && until - now <= LONGEST_PAUSE);
                now = until;
            }
            end => return (all, end, now),
        }
    }
    panic!("no end");
}

fn openstack() -> Inquiry {
    Inquiry::new(Service::OpenStack, Some(Service::Ec2), 2, 120 * SECOND)
}

fn ec2() -> Inquiry {
    Inquiry::new(Service::Ec2, None, 2, 120 * SECOND)
}

const OWN_DATA: [What; 6] = [
    What::InstanceId,
    What::Hostname,
    What::Zone,
    What::Keys,
    What::Key(0),
    What::Key(2),
];

fn after(first: &[What]) -> Vec<What> {
    [first, &OWN_DATA].concat()
}

#[test]
fn openstack_is_asked_for_two_documents() {
    let (all, end, _) = asked(&mut openstack(), &[]);
    assert_eq!((&all[..], end), (&[What::MetaData, What::UserData][..], Step::Done));
    let (all, end, _) = asked(&mut openstack(), &[Ok(200), Ok(404)]);
    assert_eq!((all.len(), end), (2, Step::Done), "no user-data is an answer");
}

#[test]
fn ec2_is_asked_for_a_token_first() {
    let (all, end, _) = asked(&mut ec2(), &[]);
    assert_eq!((all, end), (after(&[What::Token, What::UserData]), Step::Done));
}

#[test]
fn without_openstacks_own_paths_its_ec2_paths_are_asked() {
    let mut inquiry = openstack();
    let (all, end, _) = asked(&mut inquiry, &[Ok(404), Ok(404)]);
    assert_eq!(
        (all, end),
        (after(&[What::MetaData, What::Token, What::UserData]), Step::Done)
    );
    assert_eq!(inquiry.service(), Service::Ec2);
    let mut alone = Inquiry::new(Service::OpenStack, None, 1, SECOND);
    assert_eq!(asked(&mut alone, &[Ok(404)]).1, Step::Failed(Problem::Status(404), 1));
}

#[test]
fn version_1_is_used_only_where_there_is_no_route_to_a_token() {
    for status in [404, 405, 501] {
        let (all, end, _) = asked(&mut ec2(), &[Ok(status)]);
        assert_eq!((all, end), (after(&[What::Token, What::UserData]), Step::Done));
    }
    for status in [400, 401, 403, 302] {
        let (all, end, _) = asked(&mut ec2(), &[Ok(status)]);
        assert_eq!(
            (&all[..], end),
            (&[What::Token][..], Step::Failed(Problem::Status(status), 1))
        );
    }
}

#[test]
fn a_token_that_holds_no_more_is_replaced_once() {
    let (all, end, _) = asked(&mut ec2(), &[Ok(200), Ok(401)]);
    assert_eq!(
        (&all[..4], end),
        (
            &[What::Token, What::UserData, What::Token, What::UserData][..],
            Step::Done
        )
    );
    let (all, end, _) = asked(&mut ec2(), &[Ok(200), Ok(401), Ok(200), Ok(401)]);
    assert_eq!((all.len(), end), (4, Step::Failed(Problem::Status(401), 1)));
}

#[test]
fn what_may_pass_is_asked_again_until_the_deadline_with_growing_pauses() {
    for answer in [
        Ok(500),
        Ok(503),
        Ok(429),
        Err(Fault::Refused),
        Err(Fault::TimedOut),
        Err(Fault::CutOff),
    ] {
        let (all, end, now) = asked(&mut openstack(), &[answer; 500]);
        let Step::Failed(problem, failures) = end else {
            panic!("{end:?}")
        };
        assert_eq!(
            (all.len(), problem),
            (failures as usize, answer.map_or_else(Problem::Fault, Problem::Status))
        );
        // 0.5, 1, 2, 4, then 8 s apart; both addresses each time if none answers.
        let rounds = failures / if answer.is_err() { 2 } else { 1 };
        assert!((15..=22).contains(&rounds), "{failures}");
        assert!(now >= 120 * SECOND && now < 121 * SECOND, "{now:?}");
        assert!(all.iter().all(|what| *what == What::MetaData));
    }
    let (_, end, _) = asked(
        &mut openstack(),
        &[Ok(500), Err(Fault::TimedOut), Ok(200), Ok(502), Ok(200)],
    );
    assert_eq!(end, Step::Done);
}

#[test]
fn what_will_not_pass_ends_the_inquiry_at_once() {
    for answer in [
        Ok(403),
        Ok(302),
        Err(Fault::Malformed),
        Err(Fault::BodyTooLarge),
        Err(Fault::RedirectLoop),
    ] {
        let (_, end, now) = asked(&mut openstack(), &[Ok(200), answer]);
        assert!(matches!(end, Step::Failed(_, 1)) && now < SECOND, "{end:?}");
    }
}

#[test]
fn what_a_member_can_do_without_is_tried_three_times() {
    let zone = [Ok(200), Ok(200), Ok(200), Ok(200)];
    let (all, end, now) = asked(&mut ec2(), &[&zone[..], &[Ok(500); 3]].concat());
    assert_eq!(end, Step::Done);
    assert_eq!(all.iter().filter(|what| **what == What::Zone).count(), 3);
    assert!(now < 5 * SECOND);
    let (all, end, _) = asked(
        &mut ec2(),
        &[&zone[..], &[Err(Fault::BodyTooLarge)], &[Ok(404)]].concat(),
    );
    assert_eq!(
        (all, end),
        (after(&[What::Token, What::UserData])[..6].to_vec(), Step::Done),
        "no keys"
    );
}

#[test]
fn what_a_member_can_do_without_does_not_hold_up_its_payload_past_the_deadline() {
    // The payload comes late.
    let (mut inquiry, mut now) = (ec2(), 100 * SECOND);
    let end = loop {
        match inquiry.step(now) {
            Step::Ask(What::Token | What::UserData, _) => _ = inquiry.answered(Ok(200), now, 0),
            // Each takes as long as it may.
            Step::Ask(..) => {
                now += REQUEST_LIMIT;
                inquiry.answered(Err(Fault::TimedOut), now, 0);
            }
            Step::Wait(until) => now = until,
            end => break end,
        }
    };
    assert_eq!(end, Step::Done);
    assert!(now < 120 * SECOND + REQUEST_LIMIT, "{now:?}");
}

#[test]
fn a_token_that_cannot_be_replaced_does_not_take_the_payload_away() {
    for answer in [Ok(500), Ok(403), Err(Fault::TimedOut)] {
        let known = [Ok(200), Ok(200), Ok(401)];
        let (all, end, now) = asked(&mut ec2(), &[&known[..], &[answer; 100]].concat());
        assert_eq!((all[2], all[3], end), (What::InstanceId, What::Token, Step::Done));
        assert!(now <= 121 * SECOND, "{now:?}");
    }
}

#[test]
fn an_address_that_answered_is_kept() {
    let mut inquiry = openstack();
    let mut told = Vec::new();
    for (answer, address) in [
        (Err(Fault::Unreachable), 0),
        (Ok(200), 1),
        (Err(Fault::TimedOut), 1),
        (Ok(200), 1),
    ] {
        let mut now = 10 * SECOND;
        while let Step::Wait(until) = inquiry.step(now) {
            now = until;
        }
        let Step::Ask(_, asked) = inquiry.step(now) else {
            panic!()
        };
        assert_eq!(asked, address);
        told.push(inquiry.answered(answer, now, 255).is_some());
    }
    assert_eq!(told, [true, false, true, false]);
    assert_eq!(inquiry.step(SECOND), Step::Done);
}

#[test]
fn clouds_are_told_by_what_they_write_into_smbios() {
    for (text, service) in [
        (
            "manufacturer OpenStack Foundation\nproduct OpenStack Nova\n",
            Some(Service::OpenStack),
        ),
        (
            "manufacturer Red Hat\nproduct OpenStack Compute",
            Some(Service::OpenStack),
        ),
        (
            "manufacturer x\nproduct KVM\nasset OpenStack Nova",
            Some(Service::OpenStack),
        ),
        ("manufacturer Amazon EC2\nproduct t3.micro", Some(Service::Ec2)),
        ("bios Amazon EC2", Some(Service::Ec2)),
        ("bios 4.11.amazon", Some(Service::Ec2)),
        ("serial EC2AB1C2-0000", Some(Service::Ec2)),
        ("serial ec2ab1c2-0000", Some(Service::Ec2)),
        (
            "manufacturer QEMU\nproduct Standard PC (Q35 + ICH9, 2009)\nbios SeaBIOS",
            None,
        ),
        ("product OpenStack Novaish\nserial e", None),
        ("", None),
        ("\nproduct\nOpenStack Nova", None),
    ] {
        assert_eq!(recognised(text), service, "{text}");
    }
}
