// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

interface IToken {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// Speaks as a pool of Aave V3's kind, as its two tokens, and as Maker's Vat, adapter and Jug, and does to a payment what the pool was
/// told to do: lenders that owners listed and should not have. One code for all parts: `asset` and `POOL` say which one it is.
contract HostilePool {
    uint256 public constant HONEST = 0;
    uint256 public constant KEEP = 1; // takes it, and books nothing
    uint256 public constant MORE = 2; // takes one unit more than it was let
    uint256 public constant REENTER = 3; // calls `to` with `data` in the middle of it
    uint256 public constant LOST = 4; // books it, and the account is liquidatable all the same
    uint256 public constant IDLE = 5; // books it as what secures nothing

    uint256 public what;
    address public to;
    bytes public told;
    address public asset;
    HostilePool public POOL;
    HostilePool public owes;
    HostilePool public lends;
    uint256 public ink;
    uint256 public art;
    mapping(address => uint256) public balanceOf;

    function be(address asset_, HostilePool pool) external {
        (asset, POOL) = (asset_, pool);
    }

    function set(HostilePool owes_, HostilePool lends_, address who, uint256 owed) external {
        (owes, lends, ink, art) = (owes_, lends_, 1e24, owed);
        owes.put(who, owed);
        lends.put(who, 1e24);
    }

    function put(address who, uint256 amount) external {
        balanceOf[who] = amount;
    }

    function does(uint256 what_, address to_, bytes calldata data) external {
        (what, to, told) = (what_, to_, data);
    }

    // ------------------------------------------------------------------ as a pool and its tokens
    function UNDERLYING_ASSET_ADDRESS() external view returns (address) {
        return asset;
    }

    function supply(address token, uint256 amount, address who, uint16) external {
        take(token, msg.sender, amount);
        if (what != KEEP) lends.put(who, lends.balanceOf(who) + amount);
    }

    function repay(address token, uint256 amount, uint256, address who) external returns (uint256) {
        take(token, msg.sender, amount);
        if (what != KEEP) owes.put(who, owes.balanceOf(who) - amount);
        return amount;
    }

    function getUserAccountData(address who) external view returns (uint256, uint256, uint256, uint256, uint256, uint256) {
        uint256 debt = owes.balanceOf(who);
        uint256 health = what == LOST ? 1 : what == IDLE ? 2e18 : 2e18 + lends.balanceOf(who);
        return (0, debt, 0, 0, 0, debt == 0 ? type(uint256).max : health);
    }

    // ------------------------------------------------------------------ as Maker: the pool is the Vat, its own unit one of art
    function vat() external view returns (HostilePool) {
        return POOL;
    }

    function dai() external view returns (address) {
        return asset;
    }

    function gem() external view returns (address) {
        return asset;
    }

    function ilk() external pure returns (bytes32) {
        return "ETH-A";
    }

    function dec() external pure returns (uint256) {
        return 18;
    }

    function ilks(bytes32) external view returns (uint256, uint256, uint256, uint256, uint256) {
        return (0, 1e27, what == LOST ? 0 : 1e27, 0, 0);
    }

    function urns(bytes32, address) external view returns (uint256, uint256) {
        return (ink, art);
    }

    function gem(bytes32, address who) external view returns (uint256) {
        return balanceOf[who];
    }

    function drip(bytes32) external pure returns (uint256) {
        return 1e27;
    }

    function join(address who, uint256 amount) external {
        take(asset, msg.sender, amount);
        if (POOL.what() != KEEP) POOL.put(who, POOL.balanceOf(who) + amount);
    }

    function frob(bytes32, address, address, address, int256 dink, int256 dart) external {
        if (what == KEEP) return;
        ink += uint256(dink);
        art -= uint256(-dart);
    }

    function take(address token, address from, uint256 amount) private {
        uint256 does_ = POOL.what();
        if (does_ == REENTER) {
            (bool ok, bytes memory answer) = POOL.to().call(POOL.told());
            if (!ok) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        require(IToken(token).transferFrom(from, address(this), does_ == MORE ? amount + 1 : amount), "not paid");
    }
}
